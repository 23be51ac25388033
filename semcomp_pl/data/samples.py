"""Images that everybody may have: procedural street scenes, and free photographs that scikit-image brings along."""

import io
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from semcomp_pl.data.street_scenes import render
from semcomp_pl.data.street_scenes.write import scene_seed
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.atomic import make_output, write_file

PHOTOGRAPHS = {
    "astronaut": ("astronaut.png", "Eileen Collins, by NASA, public domain"),
    "cat": ("chelsea.png", "Chelsea, by Stefan van der Walt, CC0"),
    "coffee": ("coffee.png", "a cup of coffee, by Rachel Michetti, CC0"),
    "rocket": ("rocket.jpg", "a launch of Falcon 9, by SpaceX, public domain"),
}
"""File in scikit-image's wheel and source of each photograph, as https://scikit-image.org/docs/stable/api/skimage.data.html
has them; other pictures of that package are fetched from the network."""
SIZE = (256, 512)
"""Height and width of the scenes."""


def write_samples(directory: Path, scenes: int = 4, photographs: bool = True) -> list[Path]:
    """Write `street_0.png`, ... and the photographs; what is there already is left as it is.

    Args:
        directory: Directory to write to; made if missing.
        scenes: Number of street scenes, the first ones of the validation split of `StreetScenes`.
        photographs: Whether to write the photographs too.

    Returns:
        The files, photographs last.

    Raises:
        SemcompError: scikit-image is not installed, a file of this name holds something else, or it cannot be written.
    """
    if scenes < 0:
        raise SemcompError(f"scenes={scenes} found, expected 0 or more")
    contents = {f"street_{i}.png": _scene(i) for i in range(scenes)}
    contents |= {
        f"{name}{_photograph(name).suffix}": _photograph(name).read_bytes() for name in PHOTOGRAPHS if photographs
    }
    make_output(directory, "DIR")
    for name, content in contents.items():
        file = directory / name
        if file.is_file() and file.read_bytes() != content:
            raise SemcompError(f"{file}: another file of this name found; choose another directory, or move it away")
        if not file.is_file():
            write_file(file, partial(_write, content))
    return [directory / name for name in contents]


def _write(content: bytes, file: io.BufferedIOBase) -> None:
    file.write(content)


def _scene(index: int) -> bytes:
    image = io.BytesIO()
    Image.fromarray(render(scene_seed(0, "val", index), SIZE).image).save(image, "PNG")
    return image.getvalue()


def _photograph(name: str) -> Path:
    """The file of a photograph; the package that holds it is found and not imported, which takes seconds."""
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SemcompError(
            "scikit-image is not installed, whose photographs these are; pip install 'semcomp_pl[demo]', or write the "
            "street scenes alone with --no-photographs"
        )
    file = Path(package.origin).parent / "data" / PHOTOGRAPHS[name][0]
    if not file.is_file():
        raise SemcompError(f"{file}: this scikit-image lacks the photograph, expected version 0.25 or 0.26")
    return file

"""PNG files of the reconstructions and the judge's label maps that the report shows.

    pictures/IMAGE/CODEC/POINT.png        8-bit RGB
    pictures/IMAGE/CODEC/POINT.label.png  8-bit index mask of the first judge, train ids

The original is among the codecs.
"""

from pathlib import Path
from urllib.parse import quote

from PIL import Image
from torch import Tensor

from semcomp_pl.files.atomic import write_file


def picture_path(directory: Path, image: str, codec: str, point: str, suffix: str = ".png") -> Path:
    """Path of the reconstruction of an image by a codec at a point, below the directory of the results."""
    return pair_path(directory / "pictures", image, codec, point, suffix)


def pair_path(folder: Path, image: str, codec: str, point: str, suffix: str) -> Path:
    """IMAGE/CODEC/POINT in a folder, with characters that file systems may refuse escaped as in URLs."""
    image, codec, point = (quote(part, safe=" ()") for part in (image, codec, point))
    return folder / image / codec / f"{point}{suffix}"


def save_picture(directory: Path, image: str, codec: str, point: str, reconstruction: Tensor) -> None:
    """Write a reconstruction (3, H, W) in [0, 1]."""
    pixels = reconstruction.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    _save(picture_path(directory, image, codec, point), Image.fromarray(pixels))


def save_map(directory: Path, image: str, codec: str, point: str, label: Tensor) -> None:
    """Write a label map (H, W)."""
    _save(picture_path(directory, image, codec, point, ".label.png"), Image.fromarray(label.byte().cpu().numpy()))


def _save(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda file: picture.save(file, "PNG"))

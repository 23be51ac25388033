"""Deterministic preparation of an image and its maps: centre crop to the frame's aspect ratio, then resize."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.data.source import ImageSource, Sample
from semcomp_pl.errors import SemcompError
from semcomp_pl.files.images import read_image


class Frame(NamedTuple):
    """Height and width in pixels of prepared images."""

    height: int
    width: int

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Largest centred box of the frame's aspect ratio in an image of `size` (width, height)."""
        width, height = size
        aspect = self.width / self.height
        crop_width, crop_height = min(width, height * aspect), min(height, width / aspect)
        left, top = (width - crop_width) / 2, (height - crop_height) / 2
        return left, top, left + crop_width, top + crop_height

    def crop(self, size: tuple[int, int], side: float) -> tuple[int, int]:
        """Height and width of a box whose side is the fraction `side` of the largest in an image of `size`."""
        left, top, right, bottom = self.box(size)
        return round((bottom - top) * side), round((right - left) * side)

    def image(self, image: Image.Image) -> NDArray[np.uint8]:
        """Cropped and resized image, uint8 (height, width, 3), by bicubic interpolation with antialiasing."""
        box = self.box(image.size)
        return np.asarray(image.resize((self.width, self.height), Image.Resampling.BICUBIC, box=box))

    def map(self, ids: NDArray[Any]) -> NDArray[Any]:
        """Cropped and resized map (height, width), by nearest neighbour: ids are never mixed."""
        height, width = ids.shape
        left, top, right, bottom = self.box((width, height))
        rows = top + (np.arange(self.height) + 0.5) * (bottom - top) / self.height
        columns = left + (np.arange(self.width) + 0.5) * (right - left) / self.width
        picked: NDArray[Any] = ids[rows.astype(int)[:, None], columns.astype(int)]
        return picked


def prepare(sample: Sample, source: ImageSource, frame: Frame | None) -> dict[str, NDArray[Any]]:
    """Read one sample: `image` uint8 (H, W, 3), and `label` uint8 and `instance` uint16 (H, W) if it has them.

    If `frame` is None, images keep the size of their files.

    Raises:
        SemcompError: an unreadable file, an id outside the taxonomy, or a map of another size than its image.
    """
    image, maps = read_image(sample.image), source.read_maps(sample)
    for kind, ids in maps.items():
        if ids.shape[::-1] != image.size:
            raise SemcompError(
                f"{getattr(sample, kind)}: a map of {ids.shape[1]}x{ids.shape[0]} found, expected "
                f"{image.width}x{image.height} as {sample.image}; export the map at the image's size"
            )
    if frame is None:
        return {"image": np.asarray(image), **maps}
    return {"image": frame.image(image), **{kind: frame.map(ids) for kind, ids in maps.items()}}

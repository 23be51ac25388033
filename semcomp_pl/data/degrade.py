"""Blur, noise, compression and low resolution of training images, for networks that meet such images later."""

import io
from abc import abstractmethod
from typing import Any

import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2


def degradation(share: float) -> v2.Transform:
    """Degrades a `share` of images (uint8) in one of five ways, equally probable; maps stay as they are.

    Gaussian blur with a standard deviation of 0.5 to 2 pixels; Gaussian noise of 0.02 to 0.1 of the range; JPEG of
    quality 5 to 40; WebP of quality 0 to 40; or an image made 2 to 4 times smaller and enlarged again.
    """
    blur = v2.GaussianBlur(kernel_size=13, sigma=(0.5, 2.0))
    ways = [blur, Noise(0.02, 0.1), Compress(5, 40, "jpeg"), Compress(0, 40, "webp"), Shrink(2, 4)]
    return v2.RandomApply([v2.RandomChoice(ways)], share)


class ImageTransform(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """A transform of images alone, by a strength that is drawn uniformly between two values."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the strength."""
        return {"strength": torch.empty(1).uniform_(self.low, self.high).item()}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Change an image, and no map."""
        return inpt if isinstance(inpt, tv_tensors.Mask) else self.change(inpt, **params)

    @abstractmethod
    def change(self, image: tv_tensors.Image, strength: float) -> tv_tensors.Image:
        """The changed image, of the same size."""


class Noise(ImageTransform):
    """Gaussian noise of a drawn standard deviation, as a share of the range; torchvision's is fixed."""

    def change(self, image: tv_tensors.Image, strength: float) -> tv_tensors.Image:
        """Add noise."""
        return v2.functional.gaussian_noise(image, sigma=strength)


class Compress(ImageTransform):
    """JPEG or WebP of a drawn quality; torchvision's JPEG is deprecated."""

    def __init__(self, low: float, high: float, form: str) -> None:
        super().__init__(low, high)
        self.form = form

    def change(self, image: tv_tensors.Image, strength: float) -> tv_tensors.Image:
        """Encode and decode."""
        file = io.BytesIO()
        v2.functional.to_pil_image(image).save(file, self.form, quality=round(strength))
        with Image.open(file) as decoded:
            return v2.functional.to_image(decoded)


class Shrink(ImageTransform):
    """Smaller by a drawn factor, with antialiasing, and enlarged again."""

    def change(self, image: tv_tensors.Image, strength: float) -> tv_tensors.Image:
        """Resize twice."""
        size, mode = list(image.shape[-2:]), v2.InterpolationMode.BICUBIC
        smaller = [max(1, round(side / strength)) for side in size]
        return v2.functional.resize(v2.functional.resize(image, smaller, mode), size, mode)

"""Random crops, flips, colours and faults of training images, as torchvision transforms of one sample at a time."""

from typing import Any, NamedTuple

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from semcomp_pl.data.degrade import degradation
from semcomp_pl.data.frame import Frame
from semcomp_pl.errors import SemcompError


class Augmentation(NamedTuple):
    """What is changed at random in training images."""

    crop_size: Frame | None
    """Size of the images; None keeps theirs."""
    crop_scale: tuple[float, float]
    """Smallest and largest side of a crop, as a fraction of the largest possible."""
    flip: bool
    """Whether half of the images are mirrored."""
    colour_jitter: float
    """Largest relative change of brightness, contrast and saturation."""
    degrade: float = 0.0
    """Share of images that lose quality, by `semcomp_pl.data.degrade.degradation`."""

    def transform(self) -> v2.Transform:
        """A transform of a sample's image and maps together, which draws from torch's global generator."""
        steps: list[v2.Transform] = [RandomCrop(self.crop_size, self.crop_scale)] if self.crop_size else []
        steps += [v2.RandomHorizontalFlip(0.5 * self.flip)]
        steps += [v2.ColorJitter(*[self.colour_jitter] * 3)] if self.colour_jitter else []
        steps += [degradation(self.degrade)] if self.degrade else []
        return v2.Compose(steps)


class RandomCrop(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Crops a random box of the frame's aspect ratio and resizes it to the frame.

    The box's side is a random fraction, within `scale`, of the largest such box. torchvision's RandomResizedCrop draws
    areas instead, and falls back to another aspect ratio near the full size.
    """

    def __init__(self, frame: Frame, scale: tuple[float, float]) -> None:
        super().__init__()
        if not 0 < scale[0] <= scale[1] <= 1:
            raise SemcompError(f"crop_scale {scale} found, expected 0 < smallest <= largest <= 1")
        self.frame, self.scale = frame, scale

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw a random box."""
        height, width = v2.functional.get_size(flat_inputs[0])
        crop_height, crop_width = self.frame.crop((width, height), torch.empty(1).uniform_(*self.scale).item())
        return {
            "top": int(torch.randint(height - crop_height + 1, ())),
            "left": int(torch.randint(width - crop_width + 1, ())),
            "height": crop_height,
            "width": crop_width,
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Crop and resize one image or map."""
        # torchvision resizes masks by its older nearest rule, which shifts them by half a pixel against images
        mask = isinstance(inpt, tv_tensors.Mask)
        mode = v2.InterpolationMode.NEAREST_EXACT if mask else v2.InterpolationMode.BICUBIC
        pixels = inpt.as_subclass(torch.Tensor)
        pixels = v2.functional.resized_crop_image(
            pixels[None] if mask else pixels, **params, size=list(self.frame), interpolation=mode
        )
        return tv_tensors.wrap(pixels[0] if mask else pixels, like=inpt)

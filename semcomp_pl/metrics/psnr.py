"""Peak signal-to-noise ratio."""

from torch import Tensor

from semcomp_pl.metrics.image_mean import ImageMean, as_decoded, check_pair

CAP = 100.0
"""Decibels given to identical images, and the most that any image gets: one pixel-perfect image would
otherwise make the mean infinite."""


def psnr(reconstruction: Tensor, image: Tensor) -> Tensor:
    """PSNR of each image over its pixels and channels, on 8-bit values.

    Args:
        reconstruction: float (B, 3, H, W), RGB, range [0, 1].
        image: the original, the same.

    Returns:
        Float64 (B,), decibels, at most 100.

    Raises:
        SemcompError: the shapes differ.
    """
    check_pair(reconstruction, image)
    error = (as_decoded(reconstruction) - as_decoded(image)).double().square().mean(dim=(1, 2, 3))
    return (-10 * error.log10()).clamp(max=CAP)


class MeanPSNR(ImageMean):
    """Mean over images of `psnr`; not the PSNR of the pooled error, which the worst images dominate."""

    higher_is_better = True

    def update(self, reconstruction: Tensor, image: Tensor) -> None:
        """Count a batch, shaped as for `psnr`."""
        self._add(psnr(reconstruction, image))

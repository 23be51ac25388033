"""Pixel-wise distances between images, and a penalty for latents out of the quantiser's range."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure


def mse_distortion(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean squared error of images scaled to [-1, 1]: four times that of (B, 3, H, W) in [0, 1].

    Source: the distortion d of Agustsson et al., https://arxiv.org/abs/1804.02958.
    """
    return 4 * F.mse_loss(reconstruction.float(), image)


def absolute_distortion(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of images scaled to [-1, 1]: twice that of (B, 3, H, W) in [0, 1]."""
    return 2 * F.l1_loss(reconstruction.float(), image)


def structural_dissimilarity(reconstruction: Tensor, image: Tensor) -> Tensor:
    """1 - SSIM of images (B, 3, H, W) in [0, 1], averaged over the batch; sides must be at least 6.

    Source: Wang et al., IEEE TIP 2004, https://doi.org/10.1109/TIP.2003.819861.
    """
    with torch.autocast(image.device.type, enabled=False):  # variances are differences of nearly equal numbers
        ssim = structural_similarity_index_measure(reconstruction.float(), image.float(), data_range=1.0)
    assert isinstance(ssim, Tensor)
    return 1 - ssim


def range_penalty(latent: Tensor, levels: int) -> Tensor:
    """Mean squared distance of a latent of any shape from the range that reaches half a step beyond L centres.

    Soft assignment has no gradient outside, so a channel that drifts away would be lost for good; this was observed
    after 50 epochs at learning rate 1e-3. The penalty is the counterpart of van den Oord et al.'s commitment loss,
    https://arxiv.org/abs/1711.00937, and is zero for latents within the range.
    """
    reach = levels / 2  # the outermost centre is (L - 1) / 2
    return ((latent.float().abs() - reach).clamp(min=0) ** 2).mean()

"""How far two images are apart, pixel by pixel."""

import torch.nn.functional as F
from torch import Tensor


def mse_distortion(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean squared error of images scaled to [-1, 1]: four times that of (B, 3, H, W) in [0, 1].

    Source: the distortion d of Agustsson et al., https://arxiv.org/abs/1804.02958.
    """
    return 4 * F.mse_loss(reconstruction.float(), image)

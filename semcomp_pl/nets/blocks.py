"""Building blocks that encoders, generators and discriminators share."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Norm = Literal["channel", "instance"]


class ChannelNorm(nn.Module):
    """Normalises each position over its channels, so that the result does not depend on the image size.

    Source: Ba et al., https://arxiv.org/abs/1607.06450; for codecs Mentzer et al.,
    https://arxiv.org/abs/2006.09965, section 3.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape, without a copy if `x` is in channels_last memory format."""
        normalised: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return normalised.permute(0, 3, 1, 2)


class _Standardised(torch.autograd.Function):
    """Each channel of each image with mean 0 and variance 1; its gradient from the output alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, epsilon: float) -> Tensor:
        y = x.float()  # of bfloat16, sums of many values would be wrong
        y = y - y.mean((2, 3), keepdim=True)
        scale = (y.square().mean((2, 3), keepdim=True) + epsilon).rsqrt()
        y = y.mul_(scale).to(x.dtype)
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        y, scale = ctx.saved_tensors
        (gradient,), result = gradients, y.dtype
        gradient, y = gradient.float(), y.float()
        along = (gradient * y).mean((2, 3), keepdim=True)
        centred = gradient - gradient.mean((2, 3), keepdim=True)
        return centred.addcmul_(y, along, value=-1).mul_(scale).to(result), None


class InstanceNorm(nn.InstanceNorm2d):
    """`nn.InstanceNorm2d` without affine parameters, faster as it keeps the channels_last memory format.

    PyTorch's own copies such an input to the contiguous format, and convolutions copy its result back.

    Source: Ulyanov et al., https://arxiv.org/abs/1607.08022.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        normalised: Tensor = _Standardised.apply(x, self.eps)
        return normalised


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """Channel normalisation, or instance normalisation without affine parameters as in pix2pixHD."""
    return ChannelNorm(channels) if kind == "channel" else InstanceNorm(channels)


class ConvBlock(nn.Sequential):
    """Convolution, normalisation, ReLU: `c7s1-k`, `c3s1-k` and `dk` of the pix2pixHD notation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, norm: Norm, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect"),
            make_norm(norm, outputs),
            nn.ReLU(),
        )


class Recomputable(nn.Module):
    """Adds the output of `body` to its input; may compute activations again for the gradients instead of keeping them.

    The result is the same either way; recomputing takes less memory, and the time of another forward pass.
    """

    body: nn.Module
    recompute = False

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        if self.recompute and torch.is_grad_enabled():
            # the blocks draw nothing at random
            residual: Tensor = checkpoint(self.body, x, use_reentrant=False, preserve_rng_state=False)
        else:
            residual = self.body(x)
        return x + residual


def recompute_activations(net: nn.Module) -> None:
    """Let all residual blocks of a network compute their activations again for the gradients."""
    for module in net.modules():
        if isinstance(module, Recomputable):
            module.recompute = True


class ResidualBlock(Recomputable):
    """`Rk`: two 3x3 convolutions with normalisation, added to the input.

    Source: pix2pixHD, https://arxiv.org/abs/1711.11585, appendix.
    """

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        second = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.body = nn.Sequential(ConvBlock(channels, channels, 3, norm), second, make_norm(norm, channels))


class PreNormBlock(Recomputable):
    """Normalisation, 3x3 convolution, ReLU, 3x3 convolution, added to the input: the fast trunk's block.

    The sum stays unnormalised, so that brightness and colour travel through the trunk unharmed.
    """

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.body = nn.Sequential(
            make_norm(norm, channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )


def upsample_block(inputs: int, outputs: int, norm: Norm, upsampling: Literal["resize", "transposed"]) -> nn.Module:
    """`uk`: doubles the size, by a fractional-strided convolution (paper) or by resizing and convolution."""
    if upsampling == "resize":  # avoids checkerboard artefacts: https://distill.pub/2016/deconv-checkerboard
        return nn.Sequential(nn.Upsample(scale_factor=2), ConvBlock(inputs, outputs, 3, norm))
    transposed = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(transposed, make_norm(norm, outputs), nn.ReLU())


def shuffle_conv(inputs: int, outputs: int, kernel: int, factor: int) -> nn.Sequential:
    """Convolution and pixel shuffle that enlarge `factor` times: (B, inputs, H, W) to (B, outputs, fH, fW).

    Weights are initialised such that the pixels of a cell are equal, as the grid of cells would otherwise show after
    short training: Aitken et al., https://arxiv.org/abs/1707.02937.
    """
    convolution = nn.Conv2d(inputs, outputs * factor**2, kernel, padding=kernel // 2)
    for parameter in convolution.parameters():
        parameter.data = parameter.data[:: factor**2].repeat_interleave(factor**2, 0)
    return nn.Sequential(convolution, nn.PixelShuffle(factor))


def resize_to(side: Tensor, like: Tensor) -> Tensor:
    """Side information (B, K, H', W') averaged down to the grid of `like` (B, C, H, W)."""
    return F.adaptive_avg_pool2d(side, (like.shape[-2], like.shape[-1]))

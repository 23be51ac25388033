"""Spaces in which pictures are generated: pixels by frequency, or the latents of a tiny pretrained autoencoder."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.weights import WeightFile

Space = Literal["pixels", "taef2"]
_URL = "https://github.com/madebyollin/taesd/raw/main/"
TAEF2 = (
    WeightFile("taef2_encoder.pth", f"{_URL}taef2_encoder.pth", "10a4e1021e89d755"),
    WeightFile("taef2_decoder.pth", f"{_URL}taef2_decoder.pth", "0a44a31e1ae59eb9"),
)
YCBCR = (0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)
"""Rows give Y in 0..1, Cb and Cr in -0.5..0.5 of RGB in 0..1 (JPEG's, ITU-R BT.601)."""
RGB = (1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0)
"""The inverse of `YCBCR`."""


def to_ycbcr(image: Tensor) -> Tensor:
    """RGB in [0, 1] to Y, Cb, Cr, both (B, 3, H, W)."""
    return _mixed(image, YCBCR)


def to_rgb(planes: Tensor) -> Tensor:
    """Y, Cb, Cr to RGB, both (B, 3, H, W)."""
    return _mixed(planes, RGB)


def _mixed(planes: Tensor, rows: Sequence[Sequence[float]]) -> Tensor:
    a, b, c = planes.unbind(1)  # numbers in place of a tensor, which would have to be moved to the device
    return torch.stack([x * a + y * b + z * c for x, y, z in rows], 1)


class LatentSpace(nn.Module):
    """Maps images (B, 3, H, W) in [0, 1], whose sides are multiples of 8, to latents (B, K, H/8, W/8) and back."""

    channels: ClassVar[int]
    """Number of channels K."""
    step: ClassVar[int] = 8
    """Side in pixels of a latent's cell."""
    is_linear: ClassVar[bool] = False
    """Whether mean colours of an image are a linear function of mean latents."""

    def encode(self, image: Tensor) -> Tensor:
        """The latents (B, K, H/8, W/8) of images."""
        raise NotImplementedError

    def decode(self, latent: Tensor) -> Tensor:
        """The images of latents, in [0, 1]."""
        raise NotImplementedError


class Pixels(LatentSpace):
    """The pixels themselves: the lowest frequencies of the discrete cosine transform of 8x8 blocks in YCbCr.

    Of 64 frequencies, 21 are kept of Y and 6 each of Cb and Cr, along diagonals from the constant one: 33 numbers in
    place of 192. It has no weights, and its constant frequencies are exactly the mean colours of blocks.
    """

    channels, is_linear = 33, True
    _kept = (21, 6, 6)

    def __init__(self) -> None:
        super().__init__()
        k, x = torch.arange(8)[:, None], torch.arange(8)
        basis = torch.cos(math.pi * (2 * x + 1) * k / 16) / 2
        basis[0] /= math.sqrt(2)
        order = sorted(((i, j) for i in range(8) for j in range(8)), key=lambda place: (sum(place), place))
        planes = [(c, *place) for c, kept in enumerate(self._kept) for place in order[:kept]]
        atoms = torch.zeros(len(planes), 3, 8, 8)
        for atom, (c, i, j) in zip(atoms, planes, strict=True):
            atom[c] = torch.outer(basis[i], basis[j])
        self.register_buffer("atoms", atoms, persistent=False)

    atoms: Tensor

    def encode(self, image: Tensor) -> Tensor:
        """See `LatentSpace.encode`."""
        return nn.functional.conv2d(to_ycbcr(image), self.atoms.to(image), stride=8)

    def decode(self, latent: Tensor) -> Tensor:
        """See `LatentSpace.decode`."""
        return to_rgb(nn.functional.conv_transpose2d(latent, self.atoms.to(latent), stride=8)).clamp(0, 1)


class TinyAutoencoder(LatentSpace):
    """TAEF2, a tiny autoencoder of FLUX.2's latent space.

    Source: https://github.com/madebyollin/taesd (MIT). Its weights are no part of the suite.

    Args:
        weights: Directory of `taef2_encoder.pth` and `taef2_decoder.pth`; torch.hub's directory if not given.

    Raises:
        SemcompError: a file is missing or damaged.
    """

    channels = 32

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        self.encoder, self.decoder = _encoder(self.channels), _decoder(self.channels)
        for half, file in zip((self.encoder, self.decoder), TAEF2, strict=True):
            path = file.find(None if weights is None else str(Path(weights) / file.name))
            half.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def encode(self, image: Tensor) -> Tensor:
        """See `LatentSpace.encode`."""
        latent: Tensor = self.encoder(image.contiguous(memory_format=torch.channels_last))
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """See `LatentSpace.decode`."""
        image: Tensor = self.decoder(latent.contiguous(memory_format=torch.channels_last))
        return image.clamp(0, 1)


class _Bounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class _Block(nn.Module):
    """relu(x + conv(x)), of x + pool(x) for blocks at the coarsest size."""

    def __init__(self, pooled: bool, width: int = 64) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width))
        self.pool = _pool(width) if pooled else None

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.pool is None else x + self.pool(x)
        return torch.relu(self.conv(x) + x)


def _pool(width: int) -> nn.Sequential:
    wide = 4 * width
    ends = nn.Conv2d(width, wide, 1, bias=False), nn.Conv2d(wide, width, 1, bias=False)
    return nn.Sequential(ends[0], nn.GroupNorm(4, wide), nn.ReLU(), ends[1])


def _conv(inputs: int, outputs: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


def _encoder(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = [_conv(3, 64), _Block(False)]
    for stage in range(3):
        layers += [_conv(64, 64, stride=2, bias=False), *(_Block(stage == 2) for _ in range(3))]
    return nn.Sequential(*layers, _conv(64, channels))


def _decoder(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = [_Bounded(), _conv(channels, 64), nn.ReLU()]
    for stage in range(3):
        layers += [*(_Block(stage == 0) for _ in range(3)), nn.Upsample(scale_factor=2), _conv(64, 64, bias=False)]
    return nn.Sequential(*layers, _Block(False), _conv(64, 3))


def latent_space(name: Space, weights: str | None = None) -> LatentSpace:
    """The latent space of a name; `weights` is the directory of its files.

    Raises:
        SemcompError: the name is unknown, or weights are missing or damaged.
    """
    if name == "pixels":
        return Pixels()
    if name == "taef2":
        return TinyAutoencoder(weights)
    raise SemcompError(f"latent_space={name} found, expected pixels or taef2")


CHANNELS: dict[Space, int] = {"pixels": Pixels.channels, "taef2": TinyAutoencoder.channels}
"""Numbers of channels by name, known without weights."""

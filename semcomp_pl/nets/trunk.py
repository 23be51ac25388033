"""The parameters that shape an encoder and its generator."""

from dataclasses import dataclass
from typing import Literal

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.blocks import Norm

Trunk = Literal["fast", "paper"]
Upsampling = Literal["resize", "transposed"]


@dataclass(frozen=True)
class TrunkShape:
    """Parameters from which encoder and generator are built.

    Args:
        filters: Width F of the finest stage.
        blocks: Number of residual blocks N at the coarsest stage of the generator.
        channels: Number of channels C of the latent.
        downsamplings: Number of halvings d; the latent is (C, H/2^d, W/2^d).
        trunk: `paper` (Agustsson et al.) or `fast` (space-to-depth entrance, pixel-shuffle exit).
        norm: `channel` (independent of the image size) or `instance` (paper).
        upsampling: In the paper trunk: `resize` + convolution, or `transposed` convolution (paper).
        side_channels: Number of channels K of a one-hot label map that both see; 0 for none.

    Raises:
        SemcompError: a number is too small to build a network from.
    """

    filters: int = 64
    blocks: int = 3
    channels: int = 8
    downsamplings: int = 4
    trunk: Trunk = "fast"
    norm: Norm = "channel"
    upsampling: Upsampling = "resize"
    side_channels: int = 0

    def __post_init__(self) -> None:
        least = {"filters": 1, "blocks": 0, "channels": 1, "downsamplings": 2 if self.trunk == "fast" else 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise SemcompError(
                    f"{name}={getattr(self, name)} found, expected at least {smallest} for the {self.trunk} trunk"
                )

    @property
    def widths(self) -> list[int]:
        """Number of channels of each stage, finest first.

        Paper: F, 2F, ..., 2^d F at sizes 1, 1/2, ..., 1/2^d. Fast: F, 2F, 3F, 3F, ... at sizes 1/4, ..., 1/2^d, chosen
        for about equal work at every stage.
        """
        if self.trunk == "paper":
            return [self.filters * 2**stage for stage in range(self.downsamplings + 1)]
        return [self.filters * min(2**stage, 3) for stage in range(self.downsamplings - 1)]

"""A codec that sends the symbols of chosen regions and synthesizes the rest from the label map."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.coding.grid import Grid
from semcomp_pl.coding.heatmap import HeatmapCoder
from semcomp_pl.coding.section import SectionCoder
from semcomp_pl.coding.sections import HeatmapSection
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.blocks import ConvBlock, PreNormBlock
from semcomp_pl.nets.codec import ConditionalNet
from semcomp_pl.nets.encoder import Encoder, fast_stages, make_encoder, paper_stages
from semcomp_pl.nets.generator import Generator, make_generator
from semcomp_pl.nets.trunk import TrunkShape

DEPTH = 4
"""Number of halvings between the image and the grid on which the generator starts."""


class SelectiveNet(ConditionalNet):
    """x̂ = G(m Q(E(x)), F(s)): symbols are sent in a region m only, and G synthesizes the rest from s."""

    @property
    def chooses_regions(self) -> bool:
        """True: files may hold the symbols of a region only."""
        return True

    @property
    def grid(self) -> Grid:
        """The cells of the latent, as a multiple of the generator's coarser cells."""
        grid, multiple = super().grid, 1 << max(0, DEPTH - self.shape.downsamplings)
        return replace(grid, least=multiple * grid.least, multiple=multiple)

    @property
    def reach(self) -> int:
        """On its own grid the generator sees 2N + 2.75 cells far, and F 4.75 cells."""
        return self.grid.multiple * (2 * self.shape.blocks + 8)

    def build_encoder(self, trunk: TrunkShape) -> Encoder:
        """Build E, which sees only the image."""
        return make_encoder(replace(trunk, side_channels=0))

    def build_generator(self, trunk: TrunkShape) -> Generator:
        """Build G together with F."""
        return make_selective_generator(trunk)

    def analysis(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """See `CodecNet.analysis`; the label map is ignored."""
        return super().analysis(image)

    def sections(self) -> list[SectionCoder]:
        """The coders of label map, heatmap and latent."""
        labels = self.label_section()
        assert labels is not None
        _, latent = super().sections()
        return [labels, HeatmapSection(HeatmapCoder(self.shape.num_classes), labels), latent]

    def region(
        self,
        label: Tensor,
        keep: Sequence[str] | None = None,
        synthesize: Sequence[str] | None = None,
        boxes: Sequence[tuple[int, int, int, int]] = (),
    ) -> Tensor:
        """Regions (B, H, W), bool, of label maps (B, H, W), by classes (names or ids) and boxes (x, y, width, height).

        Raises:
            SemcompError: both lists of classes are given, a class is unknown, or a box exceeds the image.
        """
        if keep is not None and synthesize is not None:
            raise SemcompError("classes to keep and classes to synthesize found, expected one of the two lists")
        chosen = torch.zeros_like(label, dtype=torch.bool)
        if keep is not None:
            chosen |= torch.isin(label, torch.tensor(self._ids(keep), device=label.device))
        elif synthesize is not None:
            chosen |= ~torch.isin(label, torch.tensor(self._ids(synthesize), device=label.device))
        height, width = label.shape[-2:]
        for x, y, across, down in boxes:
            if min(x, y) < 0 or min(across, down) < 1 or x + across > width or y + down > height:
                raise SemcompError(
                    f"box {x},{y},{across},{down} found, expected x,y,width,height inside an image of {width}x{height}"
                )
            chosen[:, y : y + down, x : x + across] = True
        return chosen

    def _ids(self, classes: Sequence[str]) -> list[int]:
        known = list(self.shape.class_names or [])
        names = {name: i for i, name in enumerate(known)}
        names |= {str(i): i for i in range(self.shape.num_classes)}
        for name in classes:
            if name not in names:
                expected = ", ".join(known or [f"0..{self.shape.num_classes - 1}"])
                raise SemcompError(f"class {name!r} found, expected some of: {expected}")
        return [names[name] for name in classes]


class SelectiveGenerator(Generator):
    """A generator that sees the decoded latent and the output of a network for the label map, on one grid.

        latent, 0 where it was not sent --join--+
        one-hot label map --labels--------------+--body--> image

    Source: Agustsson et al., https://arxiv.org/abs/1804.02958, appendix (SC).
    """

    def __init__(self, body: nn.Module, join: nn.Module, labels: nn.Module, step: int) -> None:
        super().__init__(body)
        self.join, self.labels, self.step = join, labels, step

    def forward(self, quantized: Tensor, side: Tensor | None = None) -> Tensor:
        """Latent (B, C, h, w) and one-hot label map (B, K, H, W) or (B, K, h, w) to an image (B, 3, H, W)."""
        assert side is not None
        height, width = (self.step * size for size in quantized.shape[-2:])
        if side.shape[-2:] != (height, width):
            side = F.interpolate(side, (height, width), mode="nearest")
        return super().forward(torch.cat([self.join(quantized), self.labels(side)], 1))


def make_selective_generator(shape: TrunkShape) -> SelectiveGenerator:
    """The generator of a trunk, in which a separate network reads the label map of `side_channels` classes.

    Paper: `c7s1-F, d2F, ..., d16F` for the label map; `c3s1-8F, d16F` for a latent at an eighth of the image,
    `c3s1-16F` for one at a sixteenth. Fast: the encoder's stages; a latent at a sixteenth joins as it is.
    """
    deep = replace(shape, downsamplings=max(DEPTH, shape.downsamplings))
    classes, width = shape.side_channels, deep.widths[-1]
    stages = paper_stages(deep, classes) if shape.trunk == "paper" else fast_stages(deep, 16 * classes)
    entrance = [] if shape.trunk == "paper" else [nn.PixelUnshuffle(4)]
    join, joined = (_paper_join if shape.trunk == "paper" else _fast_join)(shape, deep)
    body = make_generator(replace(deep, channels=joined + width, side_channels=0)).body
    return SelectiveGenerator(body, join, nn.Sequential(*entrance, *stages), 1 << shape.downsamplings)


def _paper_join(shape: TrunkShape, deep: TrunkShape) -> tuple[nn.Module, int]:
    widths = deep.widths[shape.downsamplings :]
    layers: list[nn.Module] = [ConvBlock(shape.channels, widths[0], 3, shape.norm)]
    layers += [ConvBlock(a, b, 3, shape.norm, stride=2) for a, b in itertools.pairwise(widths)]
    return nn.Sequential(*layers), widths[-1]


def _fast_join(shape: TrunkShape, deep: TrunkShape) -> tuple[nn.Module, int]:
    if deep.downsamplings == shape.downsamplings:
        return nn.Identity(), shape.channels
    widths = deep.widths[shape.downsamplings - 2 :]
    layers: list[nn.Module] = [nn.Conv2d(shape.channels, widths[0], 3, padding=1)]
    for a, b in itertools.pairwise(widths):
        layers += [PreNormBlock(a, shape.norm), nn.Conv2d(a, b, 3, stride=2, padding=1)]
    return nn.Sequential(*layers), widths[-1]

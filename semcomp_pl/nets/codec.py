"""A codec as a plain network: encoder, quantiser, generator, the integers that its files need, and what it can do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.coding.grid import Grid
from semcomp_pl.coding.sections import LabelSection, LatentSection, SectionCoder
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.encoder import make_encoder
from semcomp_pl.nets.generator import make_generator
from semcomp_pl.nets.labels import majority, one_hot
from semcomp_pl.nets.quantizer import Gradient, Quantizer
from semcomp_pl.nets.tables import EntropyModel, EntropyTables
from semcomp_pl.nets.tiling import reflect_pad
from semcomp_pl.nets.trunk import TrunkShape
from semcomp_pl.types import CodecOutput

LabelMap = Literal["grid", "full"]
"""A label map as it is sent: one label per cell of the latent, or the map at the image's size."""


@dataclass(frozen=True, kw_only=True)
class CodecShape(TrunkShape):
    """The numbers that a codec is built from; a model's other hyper-parameters only say how it is trained.

    Args:
        levels: Quantisation levels L.
        quantizer_gradient: As for `Quantizer`.
        entropy_model: As for `EntropyTables`.
        num_classes: Classes K of the label maps; 0 without.
        class_names: Their names, where known.
        label_map: How a codec that sends a label map sends it.
    """

    levels: int = 5
    quantizer_gradient: Gradient = "soft"
    entropy_model: EntropyModel = "context"
    num_classes: int = 0
    class_names: Sequence[str] | None = None
    label_map: LabelMap = "grid"

    @classmethod
    def of(cls, hyper_parameters: Mapping[str, Any]) -> Self:
        """The shape among the hyper-parameters of a model."""
        known = {field.name for field in fields(cls) if field.init} - {"side_channels"}
        return cls(**{name: value for name, value in hyper_parameters.items() if name in known})


class CodecNet(nn.Module):
    """x̂ = G(Q(E(x))), and with a label map s that is sent along, x̂ = G(Q(E(x, s)), s).

        x --E--> latent --Q--> symbols --> centres --G--> x̂

    Images are (B, 3, H, W) in [0, 1] of any size, label maps (B, H, W) of ids 0..K-1 or 255. This class sends symbols
    alone; subclasses send more, and say so by `label_map` and `chooses_regions`.

    Args:
        shape: Its numbers.

    Raises:
        SemcompError: numbers from which no network can be built.
    """

    shape_type: ClassVar[type[CodecShape]] = CodecShape
    identity: ClassVar[tuple[str, ...]] = ("levels", "downsamplings", "trunk", "norm", "upsampling")
    """Numbers of the shape that say what the weights mean; the others show in the weights' own shapes."""
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, hyper_parameters: Mapping[str, Any]) -> Self:
        """The network of a model, whose hyper-parameters may be more than those that shape it.

        Raises:
            SemcompError: numbers from which no network can be built.
        """
        return cls(cls.shape_type.of(hyper_parameters))

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.shape = shape
        trunk = replace(shape, side_channels=self.side_channels)
        self.encoder = self.build_encoder(trunk)
        self.quantizer = Quantizer(shape.levels, shape.quantizer_gradient)
        self.generator = self.build_generator(trunk)
        self.entropy = self.build_tables()
        self.register_buffer("mean", torch.full((3,), 0.5))
        self.register_buffer("std", torch.full((3,), 0.25))
        self.to(memory_format=torch.channels_last)

    @property
    def label_map(self) -> LabelMap | None:
        """Which label map the files carry; none where the codec needs none."""
        return None

    @property
    def chooses_regions(self) -> bool:
        """Whether files may hold the symbols of some cells only, and then a heatmap of which."""
        return False

    @property
    def symbols_are_code(self) -> bool:
        """Whether the symbols are a code of the codec's own, which `latent_iou` may compare."""
        return True

    @property
    def side_channels(self) -> int:
        """Classes K of the label map that encoder and generator see, one-hot; 0 for none."""
        return self.shape.num_classes if self.label_map else 0

    @property
    def grid(self) -> Grid:
        """The cells of the latent."""
        # neither reflection nor a mean over the image has a meaning on a single cell
        least = 2 if self.shape.trunk == "paper" or self.shape.norm == "instance" else 1
        return Grid(self.shape.downsamplings, least)

    @property
    def reach(self) -> int:
        """Cells of the grid that encoder and generator look beyond a cell, rounded up."""
        return max(6, 2 * self.shape.blocks + 4)  # the fast encoder's 5.75, the generator's 2N + 2.75

    def build_encoder(self, trunk: TrunkShape) -> nn.Module:
        """E, which takes a normalised image and a one-hot label map or None to the latent."""
        return make_encoder(trunk)

    def build_generator(self, trunk: TrunkShape) -> nn.Module:
        """G, which takes a quantised latent and a one-hot label map or None to an image."""
        return make_generator(trunk)

    def build_tables(self) -> EntropyTables:
        """The integers of the entropy coders."""
        shape = self.shape
        return EntropyTables(shape.channels, shape.levels, self.side_channels, shape.entropy_model)

    def sections(self) -> list[SectionCoder]:
        """The coders of a file's sections, in its order, with the tables as they are now."""
        labels = self.label_section()
        latent = LatentSection(self.entropy.latent_coder(), self.grid, labels)
        return [latent] if labels is None else [labels, latent]

    def label_section(self) -> LabelSection | None:
        """The coder of the label map, where one is sent."""
        coder = self.entropy.label_coder()
        return None if coder is None else LabelSection(coder, self.grid, self.label_map == "full")

    def forward(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> CodecOutput:
        """Code and decode images; `keep` (B, H, W), bool, are the regions whose symbols are sent.

        Raises:
            SemcompError: regions for a codec that sends everything.
        """
        label = None if label is None else self.pad(label)
        latent = self.analysis(self.pad(image), label)
        quantized, symbols = self.quantizer(latent)
        if keep is not None:
            quantized = quantized * self.heatmap(keep)[:, None]
        reconstruction = self.synthesis(quantized, None if label is None else self.sent(label))
        return CodecOutput(reconstruction[..., : image.shape[-2], : image.shape[-1]], latent, symbols)

    def analysis(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Image and label map, padded to the grid, to the latent (B, C, h, w)."""
        image = image.contiguous(memory_format=torch.channels_last)
        normalised = (image - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)
        latent: Tensor = self.encoder(normalised, self._one_hot(label))
        return latent

    def synthesis(self, quantized: Tensor, label: Tensor | None = None) -> Tensor:
        """Quantised latent (B, C, h, w) and the label map as it was sent to an image (B, 3, 2^d h, 2^d w)."""
        image: Tensor = self.generator(quantized, self._one_hot(label))
        return image

    def pad(self, image: Tensor) -> Tensor:
        """Image (..., H, W), or label map, mirrored at its lower and right border up to a whole grid."""
        return reflect_pad(image, *self.grid.pixels(image.shape[-2], image.shape[-1]))

    def sent(self, label: Tensor) -> Tensor:
        """A padded label map (B, H, W) as it is sent: whole, or on the grid by majority vote."""
        return label if self.label_map == "full" else majority(label, self.shape.num_classes, self.grid.step)

    def heatmap(self, keep: Tensor) -> Tensor:
        """The cells (B, h, w) that hold any pixel of a region (B, H, W), both bool."""
        if not self.chooses_regions:
            raise SemcompError("this codec sends every symbol, but a region to keep was given; use a SelectiveGAN")
        return F.max_pool2d(self.pad(keep)[:, None].float(), self.grid.step)[:, 0] > 0

    def bpp_bound(self, height: int, width: int) -> float:
        """Bits per pixel without entropy model: H/2^d * W/2^d * C * log2 L, and log2(K + 1) for each label sent."""
        cells = math.prod(self.grid.cells(height, width))
        bits = self.quantizer.bound_bits(cells * self.shape.channels)
        if self.label_map:
            labels = height * width if self.label_map == "full" else cells
            bits += labels * math.log2(min(self.shape.num_classes + 1, 256))
        return bits / (height * width)

    def _one_hot(self, label: Tensor | None) -> Tensor | None:
        return None if label is None else one_hot(label, self.shape.num_classes)


class ConditionalNet(CodecNet):
    """x̂ = G(Q(E(x, s)), s): the file carries s, on the grid or at the image's size."""

    identity = (*CodecNet.identity, "label_map")

    @property
    def label_map(self) -> LabelMap:
        """As its shape says."""
        return self.shape.label_map

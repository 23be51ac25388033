"""A codec as a plain network: encoder, quantiser, generator and entropy tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.coding.grid import Grid
from semcomp_pl.coding.section import SectionCoder
from semcomp_pl.coding.sections import LabelSection, LatentSection
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
"""Form of a transmitted label map: one label per cell of the latent, or the map at the image's size."""


@dataclass(frozen=True, kw_only=True)
class CodecShape(TrunkShape):
    """The parameters that a codec is built from; a model's other hyper-parameters concern its training only.

    Args:
        levels: Number of quantisation levels L.
        quantizer_gradient: Gradient of the quantiser; see `Quantizer`.
        entropy_model: Kind of entropy model; see `EntropyTables`.
        num_classes: Number of classes K of the label maps; 0 for no label maps.
        class_names: Names of the classes, if known.
        label_map: Form in which a codec that sends a label map sends it.
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
    """x̂ = G(Q(E(x))), or x̂ = G(Q(E(x, s)), s) with a label map s that is sent too.

        x --E--> latent --Q--> symbols --> centres --G--> x̂

    Images are (B, 3, H, W) in [0, 1] of any size, label maps (B, H, W) of ids 0..K-1 or 255. This class sends only
    symbols; subclasses may send more, which `label_map` and `chooses_regions` tell.

    Args:
        shape: Parameters to build the codec from.

    Raises:
        SemcompError: no network can be built from these parameters.
    """

    shape_type: ClassVar[type[CodecShape]] = CodecShape
    identity: ClassVar[tuple[str, ...]] = ("levels", "downsamplings", "trunk", "norm", "upsampling")
    """Parameters that enter the fingerprint, as the shapes of the weights do not show them."""
    options: ClassVar[tuple[str, ...]] = ()
    """Parameters that may be others than in training, as they change neither the weights nor what files mean."""
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, hyper_parameters: Mapping[str, Any]) -> Self:
        """The network for a model's hyper-parameters, of which some may concern training only.

        Raises:
            SemcompError: no network can be built from them.
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
        """Form of the label map that files carry; None if the codec needs none."""
        return None

    @property
    def chooses_regions(self) -> bool:
        """Whether files may hold the symbols of some cells only, together with a heatmap of these cells."""
        return False

    @property
    def symbols_are_code(self) -> bool:
        """Whether the symbols are a learned code, which `latent_iou` may compare, and not a picture."""
        return True

    @property
    def side_channels(self) -> int:
        """Number of classes K of the one-hot label map that encoder and generator see; 0 if they see none."""
        return self.shape.num_classes if self.label_map else 0

    @property
    def grid(self) -> Grid:
        """The cells of the latent."""
        # neither reflection padding nor instance normalisation works on a single cell
        least = 2 if self.shape.trunk == "paper" or self.shape.norm == "instance" else 1
        return Grid(self.shape.downsamplings, least)

    @property
    def reach(self) -> int:
        """Number of cells, rounded up, that encoder and generator see beyond a cell."""
        return max(6, 2 * self.shape.blocks + 4)  # the fast encoder's 5.75, the generator's 2N + 2.75

    def build_encoder(self, trunk: TrunkShape) -> nn.Module:
        """Build E, which maps a normalised image and a one-hot label map or None to the latent."""
        return make_encoder(trunk)

    def build_generator(self, trunk: TrunkShape) -> nn.Module:
        """Build G, which maps a quantised latent and a one-hot label map or None to an image."""
        return make_generator(trunk)

    def build_tables(self) -> EntropyTables:
        """Build the integer tables of the entropy coders."""
        shape = self.shape
        return EntropyTables(shape.channels, shape.levels, self.side_channels, shape.entropy_model)

    def sections(self) -> list[SectionCoder]:
        """The coders of a file's sections, in the order of the file, with the current tables."""
        labels = self.label_section()
        latent = LatentSection(self.entropy.latent_coder(), self.grid, labels)
        return [latent] if labels is None else [labels, latent]

    def label_section(self) -> LabelSection | None:
        """The coder of the label map; None if none is sent."""
        coder = self.entropy.label_coder()
        return None if coder is None else LabelSection(coder, self.grid, self.label_map == "full")

    def forward(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> CodecOutput:
        """Code and decode images; `keep` (B, H, W), bool, selects the regions whose symbols are sent.

        Raises:
            SemcompError: regions are given for a codec that sends everything.
        """
        label = None if label is None else self.pad(label)
        latent = self.analysis(self.pad(image), label)
        quantized, symbols = self.quantizer(latent)
        if keep is not None:
            quantized = quantized * self.heatmap(keep)[:, None]
        reconstruction = self.synthesis(quantized, None if label is None else self.sent(label))
        return CodecOutput(reconstruction[..., : image.shape[-2], : image.shape[-1]], latent, symbols)

    def analysis(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """The latent (B, C, h, w) of an image and its label map, both padded to the grid."""
        image = image.contiguous(memory_format=torch.channels_last)
        normalised = (image - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)
        latent: Tensor = self.encoder(normalised, self._one_hot(label))
        return latent

    def synthesis(self, quantized: Tensor, label: Tensor | None = None) -> Tensor:
        """The image (B, 3, 2^d h, 2^d w) of a quantised latent (B, C, h, w) and a label map in the form sent."""
        image: Tensor = self.generator(quantized, self._one_hot(label))
        return image

    def pad(self, image: Tensor) -> Tensor:
        """An image (..., H, W) or label map, mirrored at its lower and right border to fill whole cells of the grid."""
        return reflect_pad(image, *self.grid.pixels(image.shape[-2], image.shape[-1]))

    def sent(self, label: Tensor) -> Tensor:
        """A padded label map (B, H, W) in the form sent: unchanged, or reduced to the grid by majority vote."""
        return label if self.label_map == "full" else majority(label, self.shape.num_classes, self.grid.step)

    def heatmap(self, keep: Tensor) -> Tensor:
        """The cells (B, h, w) that contain any pixel of a region (B, H, W), both bool."""
        if not self.chooses_regions:
            raise SemcompError("this codec sends every symbol, but a region to keep was given; use a SelectiveGAN")
        return F.max_pool2d(self.pad(keep)[:, None].float(), self.grid.step)[:, 0] > 0

    def bpp_bound(self, height: int, width: int) -> float:
        """Bits per pixel without an entropy model: H/2^d * W/2^d * C * log2 L bits, and log2(K + 1) per label sent."""
        cells = math.prod(self.grid.cells(height, width))
        bits = self.quantizer.bound_bits(cells * self.shape.channels)
        if self.label_map:
            labels = height * width if self.label_map == "full" else cells
            bits += labels * math.log2(min(self.shape.num_classes + 1, 256))
        return bits / (height * width)

    def _one_hot(self, label: Tensor | None) -> Tensor | None:
        return None if label is None else one_hot(label, self.shape.num_classes)


class ConditionalNet(CodecNet):
    """x̂ = G(Q(E(x, s)), s), where the file carries s on the grid or at the image's size."""

    identity = (*CodecNet.identity, "label_map")

    @property
    def label_map(self) -> LabelMap:
        """Form of the label map, from the codec's shape."""
        return self.shape.label_map

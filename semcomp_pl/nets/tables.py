"""The integer tables that a codec's files are coded with, stored with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semcomp_pl.coding.colours import LEVELS, ColourCoder
from semcomp_pl.coding.container import Kind
from semcomp_pl.coding.context import ContextModel, layers
from semcomp_pl.coding.latent import STATIC, LatentCoder
from semcomp_pl.coding.thumbnail import ThumbnailCoder
from semcomp_pl.coding.vector import VectorCoder
from semcomp_pl.nets.context import Frozen

if TYPE_CHECKING:
    from semcomp_pl.coding.content import Content
    from semcomp_pl.coding.label_map import LabelCoder, Prior

EntropyModel = Literal["context", "static"]


class EntropyTables(nn.Module):
    """Integer buffers, which `semcomp_pl.training.entropy` fills after training.

    Args:
        channels: Number of channels C of the latent.
        levels: Number of levels L of the quantiser.
        classes: Number of classes K of the label map that files carry; 0 for none.
        kind: `context` (each symbol's table from its decoded neighbours) or `static` (one table per channel).
    """

    fitted: Tensor
    static: Tensor
    coder_type: ClassVar[type[LatentCoder]] = LatentCoder

    def __init__(self, channels: int, levels: int, classes: int, kind: EntropyModel) -> None:
        super().__init__()
        self.channels, self.levels, self.classes, self.kind = channels, levels, classes, kind
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))
        self.register_buffer("static", torch.zeros(channels, levels, dtype=torch.int32))
        if kind == "context":
            shapes = layers(channels, levels, classes)
            rows = sum(shape.outputs for shape in shapes)
            weights = sum(shape.outputs * shape.inputs for shape in shapes)
            self.register_buffer("weights", torch.zeros(weights, dtype=torch.int8))
            self.register_buffer("biases", torch.zeros(rows, dtype=torch.int32))
            self.register_buffer("shifts", torch.zeros(rows, dtype=torch.int8))
        if classes:
            from semcomp_pl.coding.label_map import no_prior  # importing its compiler takes half a second

            for name, values in no_prior()._asdict().items():
                self.register_buffer(f"label_{name}", torch.from_numpy(values))

    @torch.no_grad()
    def fill(self, static: Mapping[str, NDArray[Any]], context: Frozen | None, prior: Prior | None) -> None:
        """Store fitted values: static tables by name, the frozen context network, and the prior for label maps."""
        parts = {name: values.astype(np.int32) for name, values in static.items()}
        parts |= {} if context is None else context._asdict()
        parts |= {} if prior is None else {f"label_{name}": values for name, values in prior._asdict().items()}
        for name, values in parts.items():
            self.get_buffer(name).copy_(torch.from_numpy(values))
        self.fitted.fill_(True)

    def occurrences(self, content: Content) -> dict[str, NDArray[np.int64]]:
        """How often everything that has a static table occurs in a content, by the name of its table."""
        return {"static": self.coder_type(self.channels, self.levels).count(content.symbols[None])}

    def bits(self, content: Content, cells: NDArray[np.uint8] | None) -> dict[str, float]:
        """Bits of a content without its label map, by coder; `cells` is the label map on the grid if there is one."""
        coder = self.latent_coder()
        found = {"bound": coder.bound_bits(*content.symbols.shape[1:])}
        found["static"] = coder.ideal_bits(STATIC, content.symbols)
        if coder.context is not None:
            found["context"] = coder.context.bits(content.symbols, cells)
        return found

    def latent_coder(self) -> LatentCoder:
        """The coder of the symbols; uniform until the tables are filled."""
        if not self.fitted:
            return self.coder_type(self.channels, self.levels)
        static = _counts(self.static)
        if self.kind == "static":
            return self.coder_type(self.channels, self.levels, static)
        network = [_array(self.get_buffer(name)) for name in Frozen._fields]
        context = ContextModel(self.channels, self.levels, self.classes, static, *network)
        return self.coder_type(self.channels, self.levels, static, context)

    def label_coder(self) -> LabelCoder | None:
        """The coder of the label maps, None if files carry none; it adapts even before a prior is fitted."""
        if not self.classes:
            return None
        from semcomp_pl.coding.label_map import LabelCoder, Prior

        return LabelCoder(self.classes, Prior(*(_array(self.get_buffer(f"label_{name}")) for name in Prior._fields)))


class ThumbnailTables(EntropyTables):
    """The tables of a codec whose symbols are the pixels of a small picture."""

    coder_type = ThumbnailCoder


class MeaningTables(EntropyTables):
    """The tables of a vector's dimensions, and of a colour map's differences."""

    colours: Tensor

    def __init__(self, channels: int, levels: int, classes: int, kind: EntropyModel) -> None:
        super().__init__(channels, levels, classes, kind)
        self.register_buffer("colours", torch.zeros(3, LEVELS, dtype=torch.int32))

    def occurrences(self, content: Content) -> dict[str, NDArray[np.int64]]:
        """See `EntropyTables.occurrences`."""
        vector, colours = content.parts[Kind.VECTOR], content.parts[Kind.COLOURS]
        return {"static": self.vector_coder().count(vector[None]), "colours": self.colour_coder().count(colours)}

    def bits(self, content: Content, cells: NDArray[np.uint8] | None) -> dict[str, float]:
        """See `EntropyTables.bits`."""
        vector, colours = self.vector_coder(), self.colour_coder()
        given = content.parts[Kind.COLOURS]
        return {
            "bound": vector.bound_bits() + colours.bound_bits(given),
            "static": vector.ideal_bits(STATIC, content.parts[Kind.VECTOR]) + colours.ideal_bits(given),
        }

    def vector_coder(self) -> VectorCoder:
        """The coder of vectors; uniform until the tables are filled."""
        return VectorCoder(self.channels, self.levels, _counts(self.static) if self.fitted else None)

    def colour_coder(self) -> ColourCoder:
        """The coder of colour maps; uniform until the tables are filled."""
        return ColourCoder(_counts(self.colours) if self.fitted else None)


def _array(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.cpu().numpy()
    return array


def _counts(values: Tensor) -> NDArray[np.int64]:
    return _array(values).astype(np.int64)

"""The codec of a network that sends what an image means, and draws another one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.codecs.pixels import as_decoded, check_range
from semcomp_pl.coding.colours import CELLS
from semcomp_pl.coding.container import Kind
from semcomp_pl.coding.content import Content
from semcomp_pl.nets.coclico import CoCliCoNet
from semcomp_pl.nets.colour_map import colour_values

SENT = {"both": (Kind.VECTOR, Kind.COLOURS), "vector": (Kind.VECTOR,), "colours": (Kind.COLOURS,)}


class MeaningCodec(NeuralCodec):
    """A `NeuralCodec` whose files hold a vector, a map of colours, or both. A file without one of them is read too.

    Pictures are drawn at the network's own size and enlarged, so no image is tiled.
    """

    net: CoCliCoNet

    def __init__(self, net: CoCliCoNet, *args: Any, **options: Any) -> None:
        super().__init__(net, *args, **options)
        shape = net.shape
        colours, vector = f"d{shape.downsamplings}", f"C{shape.channels}L{shape.levels}"
        self.point = {"both": colours + vector, "vector": vector, "colours": colours}[shape.sends]

    def contents(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[Content]:
        """The parts that files get, of what `analyse` finds; cells are larger where a file would exceed its limit."""
        sent = SENT[self.net.shape.sends]
        found = self.analyse(image, label, keep)
        contents = [content._replace(parts={kind: content.parts[kind] for kind in sent}) for content in found]
        return [self._limited(content, one[None]) for content, one in zip(contents, image, strict=True)]

    @torch.no_grad()
    def analyse(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[Content]:
        """Vectors and colour maps of images (B, 3, H, W); label maps are ignored.

        Raises:
            SemcompError: a region is given, or values are out of range.
        """
        net = self.net
        if keep is not None:
            net.heatmap(keep)  # raises
        check_range(image)
        with torch.autocast(self.device.type, enabled=False):
            drawn = self._as_drawn(image)
            _, vectors = net.quantizer(net.analysis(drawn))
            found = zip(_bytes(vectors), _bytes(net.colours(drawn, net.shape.downsamplings)), strict=True)
        height, width = image.shape[-2:]
        return [Content(height, width, {Kind.VECTOR: v, Kind.COLOURS: c}) for v, c in found]

    @torch.no_grad()
    def synthesise(self, contents: Sequence[Content]) -> list[Tensor]:
        """See `NeuralCodec.synthesise`; pictures of equal parts are drawn together."""
        found: dict[int, Tensor] = {}
        kinds = [tuple((kind, part.shape) for kind, part in content.parts.items()) for content in contents]
        for kind in dict.fromkeys(kinds):
            places = [i for i, other in enumerate(kinds) if other == kind]
            found |= zip(places, self._draw([contents[i] for i in places]), strict=True)
        return [found[i] for i in range(len(contents))]

    def _limited(self, content: Content, image: Tensor) -> Content:
        """The content of an image (1, 3, H, W) with the smallest cells whose file keeps the limit, or its vector alone.

        Without a vector, the largest cells are sent whatever they take.
        """
        shape = self.net.shape
        for downsamplings in range(shape.downsamplings + 1, CELLS.stop):
            if self._keeps_limit(content):
                return content
            with torch.autocast(self.device.type, enabled=False):
                colours = self.net.colours(self._as_drawn(image), downsamplings)
            content = content.with_part(Kind.COLOURS, _bytes(colours)[0])
        if self._keeps_limit(content) or Kind.VECTOR not in content.parts:
            return content
        return content._replace(parts={Kind.VECTOR: content.parts[Kind.VECTOR]})

    def _keeps_limit(self, content: Content) -> bool:
        """Whether a file is as small as it must be, or has no colours to be made smaller by."""
        limit = self.net.shape.limit
        return not limit or Kind.COLOURS not in content.parts or len(self.file.write(content)) <= limit

    def _as_drawn(self, image: Tensor) -> Tensor:
        return self.net.resized(as_decoded(image).to(self.device))

    def _draw(self, contents: Sequence[Content]) -> Tensor:
        height, width = contents[0][:2]
        given = contents[0].parts
        symbols = {kind: np.stack([content.parts[kind] for content in contents]) for kind in given}
        parts = {kind: torch.from_numpy(values).to(self.device).long() for kind, values in symbols.items()}
        vector, colours = parts.get(Kind.VECTOR), parts.get(Kind.COLOURS)
        with torch.autocast(self.device.type, enabled=False):
            pictures = self.net.draw(
                None if vector is None else self.net.quantizer.dequantize(vector),
                None if colours is None else colour_values(colours),
                height,
                width,
            )
        return as_decoded(pictures).cpu()


def _bytes(values: Tensor) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = values.byte().cpu().numpy()
    return found

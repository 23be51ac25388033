"""A layered model as a codec: which pictures its files hold, and what they add up to."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from semcomp_pl.codecs import sections
from semcomp_pl.coding.container import MAX_PIXELS, Kind, Section
from semcomp_pl.coding.image_file import Content
from semcomp_pl.coding.layered_file import LayeredFile
from semcomp_pl.metrics.image_mean import as_decoded
from semcomp_pl.codecs.neural import TILE, TrainedCodec

if TYPE_CHECKING:
    from semcomp_pl.modules.layered import LayeredCodec


class LayeredFiles(TrainedCodec):
    """`TrainedCodec` of a `LayeredCodec`; `analyse` gives thumbnails as they are, `contents` what files hold of them.

    Args:
        model: A LayeredCodec; its `thumbnail_psnr` and `residual_quality` count as they are now.
        tile: As of `TrainedCodec`.
        max_pixels: As of `TrainedCodec`.
    """

    file: LayeredFile
    file_type = partial(LayeredFile, sections.decode)

    def __init__(self, model: "LayeredCodec", tile: int = TILE, max_pixels: int = MAX_PIXELS) -> None:
        super().__init__(model, tile, max_pixels)
        self.thumbnail_psnr, self.residual_quality = model.thumbnail_psnr, model.residual_quality

    def contents(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[Content]:
        """Thumbnails in the shortest form, and what the images made of them lack."""
        found = [self._thumbnail(content) for content in self.analyse(image, label, keep)]
        if self.residual_quality is None:
            return found
        pairs = zip(found, as_decoded(image).cpu(), self.synthesise(found), strict=True)
        return [self._residual(content, original - decoded) for content, original, decoded in pairs]

    def synthesise(self, contents: Sequence[Content]) -> list[Tensor]:
        """As of `TrainedCodec`, with the residuals that there are."""
        pairs = zip(contents, super().synthesise(contents), strict=True)
        return [_complete(content, image) for content, image in pairs]

    def _thumbnail(self, content: Content) -> Content:
        candidates = [self.file.own(content.symbols)]
        found = [*sections.lossless(content.symbols)]
        found += [] if self.thumbnail_psnr is None else sections.at_least(content.symbols, self.thumbnail_psnr)
        candidates += [Section(Kind.THUMBNAIL, coder, data) for coder, data in found]
        best = min(candidates, key=lambda section: len(section.data))
        symbols = content.symbols
        if best is not candidates[0]:
            symbols = sections.decode(best.coder, best.data, *symbols.shape[1:])
        return content._replace(symbols=symbols, layers=(best,))

    def _residual(self, content: Content, missing: Tensor) -> Content:
        assert self.residual_quality is not None
        pixels = (missing * 127.5 + 128).round().clamp(0, 255).byte().numpy()
        data = sections.encode(sections.WEBP, np.ascontiguousarray(pixels), self.residual_quality)
        return content._replace(layers=(*content.layers, Section(Kind.RESIDUAL, sections.WEBP, data)))


def _complete(content: Content, image: Tensor) -> Tensor:
    """An image (3, H, W) and its residual, which has two levels of the image in one of its own, 128 for zero."""
    for layer in content.layers:
        if layer.kind == Kind.RESIDUAL:
            pixels = torch.from_numpy(sections.decode(layer.coder, layer.data, content.height, content.width))
            image = as_decoded(image + (pixels.float() - 128) / 127.5)
    return image

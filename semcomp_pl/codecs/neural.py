"""A trained model as a codec: images to the bytes of files and back."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semcomp_pl.codecs.base import check_image
from semcomp_pl.coding.container import MAX_PIXELS
from semcomp_pl.coding.context import neutral
from semcomp_pl.coding.image_file import Content, ImageFile, Labels, Rates
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.image_mean import as_decoded
from semcomp_pl.checkpoints.bundle import Saved, fingerprint
from semcomp_pl.nets.labels import check_labels, one_hot
from semcomp_pl.nets.tiling import tiled

if TYPE_CHECKING:
    from semcomp_pl.modules.base import CodecModule

TILE = 2048


class TrainedCodec:
    """A snapshot of a model, as `semcomp_pl.codecs.Codec` wants it: with the weights that its export has.

    Args:
        model: On any device.
        tile: Images with a longer side, in pixels, go through the networks in tiles, which bounds the memory.
        max_pixels: Files of larger images are refused.
    """

    file_type: ClassVar[Callable[..., ImageFile]] = ImageFile

    def __init__(self, model: "CodecModule", tile: int = TILE, max_pixels: int = MAX_PIXELS) -> None:
        self.name, self.tile, self.max_pixels = type(model).__name__, tile, max_pixels
        self.fingerprint = fingerprint(Saved(self.name, dict(model.hparams), model.state_dict()))
        self.model = model = model.as_exported()
        coders = model.entropy.latent_coder(), model.entropy.label_coder()
        present = self._present if model.selects else None
        self.file = self.file_type(self.fingerprint, *coders, model.grid, model.full_labels, self._reduce, present)

    def compress(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> bytes:
        """As `Codec.compress`; `label` is the label map (H, W) of models that send one, `keep` the region to send.

        Raises:
            SemcompError: as `Codec.compress`, no label map and no segmenter to make it, or a region for a model
                that sends everything.
        """
        check_image(image)
        maps = (None if values is None else values[None] for values in (label, keep))
        return self.compress_batch(image[None], *maps)[0]

    def decompress(self, data: bytes) -> Tensor:
        """As `Codec.decompress`.

        Raises:
            FileError: not a file of this model, or damaged.
        """
        return self.decompress_batch([data])[0]

    def compress_batch(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[bytes]:
        """The files of images (B, 3, H, W), given label maps and regions (B, H, W) as for `analyse`."""
        return [self.file.write(content) for content in self.contents(image, label, keep)]

    def decompress_batch(self, files: Sequence[bytes]) -> list[Tensor]:
        """The images of files, each (3, H, W), those of one size through the networks together."""
        contents = [self.file.read(data, self.max_pixels) for data in files]
        found: dict[int, Tensor] = {}
        for size in dict.fromkeys(content[:2] for content in contents):
            places = [i for i, content in enumerate(contents) if content[:2] == size]
            found |= zip(places, self.synthesise([contents[i] for i in places]), strict=True)
        return [found[i] for i in range(len(files))]

    def measure(
        self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None
    ) -> tuple[Tensor, list[Rates]]:
        """Files of images (B, 3, H, W), what is decoded from them, and the rates of each."""
        contents = self.contents(image, label, keep)
        files = [self.file.write(content) for content in contents]
        rates = [self.file.rates(data, content) for data, content in zip(files, contents, strict=True)]
        return torch.stack(self.decompress_batch(files)).to(image.device), rates

    def contents(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[Content]:
        """What the files of images hold: what the networks see, unless a codec has more to choose."""
        return self.analyse(image, label, keep)

    def encode_again(self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Symbols (B, C, h, w) of reconstructions and of their originals, both seen with the label map of these."""
        label = self._side_label(image, label)
        symbols = [[content.symbols for content in self.analyse(x, label)] for x in (reconstruction, image)]
        first, second = (torch.from_numpy(np.stack(values)).to(image.device).long() for values in symbols)
        return first, second

    @torch.no_grad()
    def analyse(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[Content]:
        """What is transmitted of images (B, 3, H, W), given label maps (B, H, W) where the model sends one.

        `keep` names the regions (B, H, W), bool, whose symbols are sent by models that choose.

        Raises:
            SemcompError: no label maps, none of this model and these images, or regions for a model that does not
                choose.
        """
        if keep is not None and not self.model.selects:
            raise SemcompError(f"{self.name} sends every symbol, but a region to keep was given; use a SelectiveGAN")
        model = self.model
        image = as_decoded(image).to(model.device)
        height, width = image.shape[-2:]
        with torch.autocast(model.device.type, enabled=False):
            label = self._side_label(image, label)
            if label is not None:
                check_labels(label, image, model.num_classes)
            inputs = [model.pad(image)] if label is None else [model.pad(image), model.pad(label)]
            _, symbols = model.quantizer(self._tiled(model.analysis, inputs, height, width))
            heatmaps = [None] * len(image) if keep is None else [*model.heatmap(keep.to(model.device)).cpu().numpy()]
        sent: list[Labels | None] = [None] * len(image)
        if label is not None:
            sent = [*(label if model.full_labels else model.reduce_label(model.pad(label))).byte().cpu().numpy()]
        pixels = [values.byte().cpu().numpy() for values in symbols]
        for values, heatmap in zip(pixels, heatmaps, strict=True):
            if heatmap is not None:
                values[:, ~heatmap] = neutral(model.quantizer.levels)
        everything = (None if heatmap is None or heatmap.all() else heatmap for heatmap in heatmaps)
        return [Content(height, width, *parts) for parts in zip(pixels, sent, everything, strict=True)]

    def _side_label(self, image: Tensor, label: Tensor | None) -> Tensor | None:
        """The label map (B, H, W) that the model sends of images, from this one or from its own segmenter."""
        image = as_decoded(image).to(self.model.device)
        return self.model.side_label(
            {"image": image} if label is None else {"image": image, "label": label.to(self.model.device)}
        )

    @torch.no_grad()
    def synthesise(self, contents: Sequence[Content]) -> list[Tensor]:
        """The images of what was transmitted, all of one size: float32 (3, H, W), multiples of 1/255, on the CPU."""
        model = self.model
        height, width = contents[0][:2]
        symbols = torch.from_numpy(np.stack([content.symbols for content in contents])).to(model.device)
        inputs = [model.quantizer.dequantize(symbols.long()) * self._sent(contents)]
        maps = [content.labels for content in contents if content.labels is not None]
        if maps:
            label = torch.from_numpy(np.stack(maps)).long().to(model.device)
            inputs.append(model.pad(label) if model.full_labels else label)
        with torch.autocast(model.device.type, enabled=False):
            image = self._tiled(model.synthesis, inputs, height, width)
        return [*as_decoded(image[..., :height, :width]).cpu()]

    def _tiled(self, network: "_Network", inputs: list[Tensor], height: int, width: int) -> Tensor:
        model = self.model
        return tiled(network, inputs, model.grid(height, width), self.tile >> model.downsamplings, model.reach())

    def _sent(self, contents: Sequence[Content]) -> Tensor:
        """1 where symbols were sent, (B, 1, h, w)."""
        sent = [content.symbols[0] >= 0 if content.heatmap is None else content.heatmap for content in contents]
        return torch.from_numpy(np.stack(sent))[:, None].to(self.model.device)

    def _present(self, labels: Labels) -> NDArray[np.bool_]:
        """The classes (K, h, w) that each cell of a label map holds, as it is sent."""
        model = self.model
        label = torch.from_numpy(labels.astype(np.int64))[None]
        if model.full_labels:
            shares = F.max_pool2d(one_hot(model.pad(label), model.num_classes), 1 << model.downsamplings)
        else:
            shares = one_hot(label, model.num_classes)
        present: NDArray[np.bool_] = (shares[0] > 0).numpy()
        return present

    def _reduce(self, labels: Labels) -> Labels:
        """A full-size label map (H, W) to the latent grid."""
        label = torch.from_numpy(labels.astype(np.int64))[None]
        cells: Labels = self.model.reduce_label(self.model.pad(label))[0].byte().numpy()
        return cells


if TYPE_CHECKING:
    _Network = Callable[..., Tensor]

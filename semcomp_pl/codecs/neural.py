"""The codec of a trained network: images to the bytes of files and back."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from semcomp_pl.codecs.base import CodecFacts, Kind
from semcomp_pl.codecs.pixels import Picture, as_decoded, check_range, image_of
from semcomp_pl.coding import container
from semcomp_pl.coding.container import MAX_PIXELS
from semcomp_pl.coding.content import Content, Rates
from semcomp_pl.coding.context import neutral
from semcomp_pl.coding.image_file import ImageFile
from semcomp_pl.coding.sections import ResidualSection
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.codec import CodecNet
from semcomp_pl.nets.labels import check_labels
from semcomp_pl.nets.tiling import tiled

if TYPE_CHECKING:
    from semcomp_pl.nets.segmenter import Segmenter

TILE = 2048


class NeuralCodec(CodecFacts):
    """A codec that codes with a network, its tables and its fingerprint.

    Args:
        net: Frozen network, on any device.
        name: Class name of the network's model.
        fingerprint: 32 bytes that identify weights and tables.
        trained_against: Fingerprints, in hexadecimal, of segmenters that may not judge it.
        training: What its training was, as plain JSON; empty if that is not known.
        tile: Largest side in pixels that the networks process at once; larger images are tiled to bound the memory.
        max_pixels: Largest number of pixels of an image to decompress; larger ones are refused.

    Attributes:
        segmenter: Segmenter that makes the label maps if none are given; None initially.
        keep: Names or ids of the classes whose symbols are sent if no region is given; None (everything) initially.
    """

    kind: Kind = "model"

    def __init__(
        self,
        net: CodecNet,
        name: str,
        fingerprint: bytes,
        trained_against: Sequence[str] = (),
        training: Mapping[str, Any] = MappingProxyType({}),
        tile: int = TILE,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.net, self.name, self.label = net, name, name
        self.fingerprint, self.tile, self.max_pixels = fingerprint, tile, max_pixels
        self._trained_against, self._training = trained_against, training
        self._segmenter: Segmenter | None = None
        self._keep: Sequence[str] | None = None
        shape = net.shape
        self.point = f"d{shape.downsamplings}C{shape.channels}L{shape.levels}"
        self.sends_labels, self.num_classes = net.label_map is not None, shape.num_classes
        self.file = ImageFile(fingerprint, net.sections())

    @property
    def device(self) -> torch.device:
        """Device of the network."""
        return self.net.mean.device

    def to(self, device: str | torch.device) -> Self:
        """Move the network to another device; returns the codec itself.

        Raises:
            SemcompError: the device does not exist.
        """
        try:
            self.net.to(device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise SemcompError(f"device {device}: {reason}; cpu works everywhere") from None
        return self

    @property
    def segmenter(self) -> "Segmenter | None":
        """Segmenter that makes the label maps if none are given."""
        return self._segmenter

    @segmenter.setter
    def segmenter(self, segmenter: "Segmenter | None") -> None:
        if segmenter is not None:
            if not self.sends_labels:
                raise SemcompError(f"{self.name} sends no label maps; leave out the segmenter")
            if segmenter.num_classes != self.num_classes:
                raise SemcompError(
                    f"a segmenter of {segmenter.num_classes} classes found, expected {self.num_classes} as the "
                    "codec has; train both on one data set"
                )
        self._segmenter = segmenter

    @property
    def keep(self) -> Sequence[str] | None:
        """Names or ids of the classes whose symbols are sent; None for everything."""
        return self._keep

    @keep.setter
    def keep(self, keep: Sequence[str] | None) -> None:
        if keep is not None:
            self.region(torch.zeros(1, 1, 1), keep)  # raises for an unknown class
        self._keep = keep

    @property
    def segmenters(self) -> Collection[str]:  # type: ignore[override]
        """Fingerprints of the segmenters that it was trained against, and of the one that makes its label maps."""
        own = [] if self._segmenter is None else [self._segmenter.fingerprint().hex()]
        return [*self._trained_against, *own]

    def compress(self, image: Picture, label: Tensor | None = None, keep: Tensor | None = None) -> bytes:
        """The file of an image: everything that `decompress` needs, but for the model.

        Args:
            image: Float tensor (3, H, W), RGB, range [0, 1]; or uint8 array (H, W, 3), RGB; or PIL image.
            label: Label map, long (H, W), ids 0..K-1 or 255 = ignore, for models that send one; the segmenter makes it
                if it is not given.
            keep: Region whose symbols are sent, bool (H, W), for models that choose regions; everything if not given.

        Raises:
            SemcompError: the image is none of these, or of a size that the format cannot hold; a required label map is
                missing and no segmenter is set; or a region is given for a model that sends everything.
        """
        maps = (None if values is None else values[None] for values in (label, keep))
        return self.compress_batch(image_of(image)[None], *maps)[0]

    def decompress(self, data: bytes) -> Tensor:
        """See `Codec.decompress`.

        Raises:
            FileError: the file is damaged, or is not of this model.
        """
        return self.decompress_batch([data])[0]

    def compress_batch(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[bytes]:
        """The files of images (B, 3, H, W), given label maps and regions (B, H, W) as for `analyse`."""
        return [self.file.write(content) for content in self.contents(image, label, keep)]

    def decompress_batch(self, files: Sequence[bytes]) -> list[Tensor]:
        """The images (3, H, W) of files; images of equal size go through the network together."""
        contents = [self.file.read(data, self.max_pixels) for data in files]
        found: dict[int, Tensor] = {}
        for size in dict.fromkeys(content[:2] for content in contents):
            places = [i for i, content in enumerate(contents) if content[:2] == size]
            found |= zip(places, self.synthesise([contents[i] for i in places]), strict=True)
        return [found[i] for i in range(len(files))]

    def measure(
        self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None
    ) -> tuple[Tensor, list[Rates]]:
        """Compress and decompress images (B, 3, H, W); returns the decoded images and the rates of each file."""
        contents = self.contents(image, label, keep)
        files = [self.file.write(content) for content in contents]
        rates = [self.file.rates(data, content) for data, content in zip(files, contents, strict=True)]
        return torch.stack(self.decompress_batch(files)).to(image.device), rates

    def sections(self, data: bytes) -> dict[str, int]:
        """Bytes of a file's header and sections."""
        parsed = container.parse(data)
        parts = {section.kind.name.lower(): len(section.data) for section in parsed.sections}
        return {"header": parsed.overhead, **parts}

    def provenance(self) -> Mapping[str, Any]:
        """See `CodecFacts.provenance`: the facts of its training (`semcomp_pl.checkpoints.training_facts`)."""
        return {"training": dict(self._training)} if self._training else {}

    def encode_again(
        self, reconstruction: Tensor, image: Tensor, label: Tensor | None = None
    ) -> tuple[Tensor, Tensor, int] | None:
        """See `CodecFacts.encode_again`; symbols are long."""
        if self._keep is not None or not self.net.symbols_are_code:
            return None
        label = self.side_label(image, label)
        symbols = [[content.symbols for content in self.analyse(x, label)] for x in (reconstruction, image)]
        first, second = (torch.from_numpy(np.stack(values)).to(image.device).long() for values in symbols)
        return first, second, self.net.shape.levels

    def contents(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[Content]:
        """The contents of the files of images: the results of `analyse` in the form that is sent, and any residual."""
        found = [self.file.settle(content) for content in self.analyse(image, label, keep)]
        residual = self._residual()
        if residual is None or residual.quality is None:
            return found
        pairs = zip(found, as_decoded(image).cpu(), self.synthesise(found), strict=True)
        return [residual.code(content, (original - decoded).numpy()) for content, original, decoded in pairs]

    @torch.no_grad()
    def analyse(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> list[Content]:
        """Label maps, regions and symbols of images (B, 3, H, W), given label maps (B, H, W) if the model sends one.

        For models that choose regions, `keep` (B, H, W), bool, is where symbols are sent; by default, the pixels of
        the classes in the attribute `keep`.

        Raises:
            SemcompError: label maps are missing or do not fit the model or the images, or regions are given for a
                model that codes whole images.
        """
        net = self.net
        check_range(image)
        image = as_decoded(image).to(self.device)
        height, width = image.shape[-2:]
        with torch.autocast(self.device.type, enabled=False):
            label = self.side_label(image, label)
            if keep is None and self._keep is not None and label is not None:
                keep = self.region(label, self._keep)
            inputs = [net.pad(image)] if label is None else [net.pad(image), net.pad(label)]
            _, symbols = net.quantizer(self._tiled(net.analysis, inputs, height, width))
            heatmaps = None if keep is None else net.heatmap(keep.to(self.device)).cpu().numpy()
        sent = None if label is None else net.sent(net.pad(label) if net.label_map == "grid" else label)
        maps = None if sent is None else sent.byte().cpu().numpy()
        code = container.Kind.LATENT if net.symbols_are_code else container.Kind.THUMBNAIL
        contents = []
        for i, values in enumerate(symbols.byte().cpu().numpy()):
            parts: dict[container.Kind, Any] = {} if maps is None else {container.Kind.LABELS: maps[i]}
            if heatmaps is not None and not heatmaps[i].all():
                parts[container.Kind.HEATMAP] = heatmaps[i]
                values[:, ~heatmaps[i]] = neutral(net.shape.levels)
            contents.append(Content(height, width, {**parts, code: values}))
        return contents

    def region(self, label: Tensor, *chosen: Any, **options: Any) -> Tensor:
        """Regions (B, H, W) of label maps, as `SelectiveNet.region` chooses them.

        Raises:
            SemcompError: as there, or the model codes whole images.
        """
        if not self.net.chooses_regions:
            raise SemcompError(f"{self.name} codes whole images; leave out the regions or classes to keep")
        found: Tensor = self.net.region(label, *chosen, **options)  # type: ignore[operator]
        return found

    def side_label(self, image: Tensor, label: Tensor | None) -> Tensor | None:
        """The label map (B, H, W) to send: the given one, else the segmenter's; None if the model sends none.

        Raises:
            SemcompError: a label map is needed but missing, or does not fit the images or the classes.
        """
        if not self.sends_labels:
            return None
        if label is None and self._segmenter is not None:
            # the segmenter may be shared with others, which may have moved it to another device
            return self._segmenter.to(self.device).predict(as_decoded(image).to(self.device))
        if label is None:
            raise SemcompError(f"{self.name} needs label maps; give them, or name a segmenter that makes them")
        label = label.to(self.device).long()
        check_labels(label, image, self.num_classes)
        return label

    @torch.no_grad()
    def synthesise(self, contents: Sequence[Content]) -> list[Tensor]:
        """The images of transmitted contents of equal size: float32 (3, H, W), multiples of 1/255, on the CPU."""
        net = self.net
        height, width = contents[0][:2]
        symbols = torch.from_numpy(np.stack([content.symbols for content in contents])).to(self.device)
        inputs = [net.quantizer.dequantize(symbols.long()) * self._sent(contents)]
        maps = [content.labels for content in contents if content.labels is not None]
        if maps:
            label = torch.from_numpy(np.stack(maps)).long().to(self.device)
            inputs.append(net.pad(label) if net.label_map == "full" else label)
        with torch.autocast(self.device.type, enabled=False):
            images = as_decoded(self._tiled(net.synthesis, inputs, height, width)[..., :height, :width]).cpu()
        residuals = (content.parts.get(container.Kind.RESIDUAL) for content in contents)
        return [
            image if residual is None else as_decoded(image + torch.from_numpy(ResidualSection.values(residual)))
            for image, residual in zip(images, residuals, strict=True)
        ]

    def _residual(self) -> ResidualSection | None:
        found = self.file.coders.get(container.Kind.RESIDUAL)
        return found if isinstance(found, ResidualSection) else None

    def _tiled(self, network: Callable[..., Tensor], inputs: list[Tensor], height: int, width: int) -> Tensor:
        grid = self.net.grid
        rows, columns = (cells // grid.multiple for cells in grid.cells(height, width))  # tiles may not cut a group
        tile, margin = self.tile // (grid.step * grid.multiple), math.ceil(self.net.reach / grid.multiple)
        return tiled(network, inputs, (rows, columns), tile, margin)

    def _sent(self, contents: Sequence[Content]) -> Tensor:
        """1 where symbols were sent, (B, 1, h, w)."""
        sent = [content.symbols[0] >= 0 if content.heatmap is None else content.heatmap for content in contents]
        return torch.from_numpy(np.stack(sent))[:, None].to(self.device)

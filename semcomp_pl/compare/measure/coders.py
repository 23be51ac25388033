"""Codecs as a comparison runs them: what makes a file is one instance, what reads it another."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from semcomp_pl import codecs
from semcomp_pl.codecs.pillow import PillowCodec
from semcomp_pl.codecs.search import best_at
from semcomp_pl.coding.container import parse
from semcomp_pl.compare.config import ModelCodec, Reference, Settings
from semcomp_pl.compare.rows import Kind
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.latent_iou import latent_iou
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.checkpoints.loading import load
from semcomp_pl.modules.realism import TrainedDiscriminator
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.modules.selective import SelectiveGAN
from semcomp_pl.files.places import find_model

DOWNSCALES = (1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8)
NO_FILE = "no file at or below"
"""How the error of a rate that a format cannot reach begins: expected, and no fault of the run."""


class Coder(Protocol):
    """One codec at its operating points."""

    codec: str
    """Display name."""
    kind: Kind
    points: Mapping[str, float | None]
    """By name, the rate in bits per pixel that each is searched for."""

    def encoder(self, point: str, image: Tensor, label: Tensor | None) -> Callable[[], bytes]:
        """What makes the file of an image (3, H, W) with label map (H, W), when called; searches are done before.

        Raises:
            SemcompError: there is no such file.
        """
        ...

    def decode(self, point: str, data: bytes) -> Tensor:
        """The image (3, H, W) of a file, from nothing but its bytes."""
        ...

    def sections(self, data: bytes) -> dict[str, int]:
        """Bytes by section, where the format has any."""
        ...

    def latent_iou(self, image: Tensor, reconstruction: Tensor, label: Tensor | None) -> float | None:
        """Latent IoU of two images (3, H, W), where the codec has a latent."""
        ...


class Pixels:
    """The original: its 8-bit values, as they are."""

    codec, kind = "Original", "original"
    points: Mapping[str, float | None] = {"8 bits": None}
    _shape: tuple[int, ...] = ()

    def encoder(self, point: str, image: Tensor, label: Tensor | None) -> Callable[[], bytes]:
        """24 bits a pixel."""
        self._shape = tuple(image.shape)
        return lambda: image.mul(255).round().byte().cpu().numpy().tobytes()

    def decode(self, point: str, data: bytes) -> Tensor:
        """The same values."""
        return torch.from_numpy(np.frombuffer(data, np.uint8).reshape(self._shape).copy()) / 255

    def sections(self, data: bytes) -> dict[str, int]:
        """None."""
        return {}

    def latent_iou(self, image: Tensor, reconstruction: Tensor, label: Tensor | None) -> float | None:
        """None."""
        return None


class ReferenceCoder:
    """A still-image format; files made for one image are kept until the next, for searches at several rates."""

    kind: Kind = "reference"

    def __init__(self, given: Reference) -> None:
        self.codec = given.codec or given.format
        self.format: type[PillowCodec] = getattr(codecs, given.format)
        self.format(50)  # raises where a plug-in is missing
        self.fixed = {self.format(q, d).name.partition("_")[2]: (q, d) for d, q in given.points}
        searched = {f"{target:g} bpp": target for target in given.targets}
        self.points: Mapping[str, float | None] = {**searched, **dict.fromkeys(self.fixed)}
        self._image: Tensor | None = None
        self._files: dict[tuple[int, float], bytes] = {}

    def encoder(self, point: str, image: Tensor, label: Tensor | None) -> Callable[[], bytes]:
        """At the point's settings, or those that `best_at` finds."""
        target = self.points[point]
        if target is None:
            return partial(self.format(*self.fixed[point]).compress, image)
        if self._image is not image:
            self._image, self._files = image, {}
        found = best_at(image.cpu(), target, self._remembering, downscales=DOWNSCALES)
        if found is None:
            raise SemcompError(f"{NO_FILE} {target:g} bits per pixel")
        assert isinstance(found.codec, PillowCodec)
        return partial(self.format(found.codec.quality, found.codec.downscale).compress, image)

    def decode(self, point: str, data: bytes) -> Tensor:
        """The downscale that was searched for shows in the file: whether it starts with a size, and which."""
        if point in self.fixed:
            return self.format(*self.fixed[point]).decompress(data)
        for downscale in DOWNSCALES:
            try:
                return self.format(0, downscale).decompress(data)
            except SemcompError as error:
                reason = error
        raise reason

    def sections(self, data: bytes) -> dict[str, int]:
        """None."""
        return {}

    def latent_iou(self, image: Tensor, reconstruction: Tensor, label: Tensor | None) -> float | None:
        """None."""
        return None

    def _remembering(self, quality: int, downscale: float) -> PillowCodec:
        codec = self.format(quality, downscale)
        compress = codec.compress

        def once(image: Tensor) -> bytes:
            if (quality, downscale) not in self._files:
                self._files[quality, downscale] = compress(image)
            return self._files[quality, downscale]

        codec.compress = once  # type: ignore[method-assign]
        return codec


class ModelCoder:
    """A trained model, loaded twice.

    Args:
        given: as `settle` leaves it.
        device: of both.

    Raises:
        SemcompError: no such codec, or it cannot have the label maps it needs.
    """

    kind: Kind = "model"

    def __init__(self, given: ModelCodec, device: str) -> None:
        assert given.codec is not None
        assert given.point is not None
        self.codec = given.codec
        self.points: Mapping[str, float | None] = {given.point: None}
        self.true_labels, self.keep = given.labels == "true", given.keep
        model = load_codec(given.model).to(device)
        if isinstance(model, ConditionalGAN) and not self.true_labels:
            assert given.segmenter is not None
            model.use_segmenter(str(find_model(given.segmenter)))
        self.sender = model.make_codec()
        self.receiver = load_codec(given.model).to(device).make_codec()

    def encoder(self, point: str, image: Tensor, label: Tensor | None) -> Callable[[], bytes]:
        """The label map, where one is sent, is made within."""
        return partial(self._compress, image, self._label(label))

    def decode(self, point: str, data: bytes) -> Tensor:
        """By the model that was loaded for it."""
        return self.receiver.decompress(data)

    def sections(self, data: bytes) -> dict[str, int]:
        """The header, and what the file is made of."""
        container = parse(data)
        parts = {section.kind.name.lower(): len(section.data) for section in container.sections}
        return {"header": container.overhead, **parts}

    def latent_iou(self, image: Tensor, reconstruction: Tensor, label: Tensor | None) -> float | None:
        """None where some symbols are not sent."""
        if self.keep is not None:
            return None
        label = self._label(label)
        seen = self.sender.encode_again(reconstruction[None], image[None], None if label is None else label[None])
        return float(latent_iou(*seen, self.sender.model.quantizer.levels))

    def _label(self, label: Tensor | None) -> Tensor | None:
        return label if self.true_labels else None

    def _compress(self, image: Tensor, label: Tensor | None) -> bytes:
        if self.keep is None:
            return self.sender.compress(image, label)
        model = self.sender.model
        assert isinstance(model, SelectiveGAN)
        label = model.segment(image[None])[0].cpu() if label is None else label
        return self.sender.compress(image, label, model.region(label[None], self.keep)[0])


def load_codec(given: str) -> CodecModule:
    """The model of a name or path, in evaluation mode.

    Raises:
        SemcompError: there is none, or it is no codec.
    """
    path = find_model(given)
    model = load(path)
    if not isinstance(model, CodecModule):
        raise SemcompError(f"{path}: a {type(model).__name__} found, expected a codec; name it as judge or segmenter")
    return model


def settle(settings: Settings, classes: int) -> tuple[list[ModelCodec], dict[str, dict[str, Any]]]:
    """The models with names, unique by codec and point, and the fingerprints of their weights by codec and point.

    Args:
        settings: of the comparison.
        classes: K of the data; 0 without labels.

    Raises:
        SemcompError: a model that a judge may not judge, or that cannot have the label maps it needs.
    """
    given = settings.codecs
    models = [load_codec(one.model) for one in given]
    named = [_named(one, model, settings.segmenter) for one, model in zip(given, models, strict=True)]
    for one, model in zip(named, models, strict=True):
        _check_labels(one, model, classes)
        _refuse_rivals(one, model, settings.judge)
    _refuse_partial(models, settings.realism_judge, classes)
    count = Counter((one.codec, one.point) for one in named)
    for place, one in enumerate(named):
        if count[one.codec, one.point] > 1 and given[place].codec is None:
            named[place] = replace(one, codec=f"{one.codec} ({_label(one.model)})")
    twice = [pair for pair, n in Counter((one.codec, one.point) for one in named).items() if n > 1]
    if twice:
        raise SemcompError(
            f"two models as {twice[0][0]}, {twice[0][1]} found; give each a `codec` or `point` of its own"
        )
    prints: dict[str, dict[str, Any]] = {}
    for one, model in zip(named, models, strict=True):
        prints.setdefault(str(one.codec), {})[str(one.point)] = model.codec().fingerprint.hex()
    return named, prints


def _named(one: ModelCodec, model: CodecModule, segmenter: str | None) -> ModelCodec:
    codec = one.codec or type(model).__name__
    sends_labels = isinstance(model, ConditionalGAN)
    if sends_labels and one.labels == "true" and "(oracle)" not in codec:
        codec += " (oracle)"
    point = one.point or f"d{model.downsamplings}C{model.channels}L{model.quantizer.levels}"
    segmenter = one.segmenter or segmenter if sends_labels and one.labels == "segmenter" else None
    return replace(one, codec=codec, point=point, segmenter=segmenter)


def _label(given: str) -> str:
    """What tells a model from another of its class: a run's or export's name, or the checkpoint's."""
    path = Path(given)
    return path.parent.parent.name if path.parent.name == "checkpoints" else path.stem


def _check_labels(one: ModelCodec, model: CodecModule, classes: int) -> None:
    if one.keep is not None and not isinstance(model, SelectiveGAN):
        raise SemcompError(f"{one.model}: {type(model).__name__} sends everything, but classes to keep were given")
    if isinstance(model, SelectiveGAN):
        model.region(torch.zeros(1, 1, 1), one.keep)  # raises for an unknown class
    if not isinstance(model, ConditionalGAN):
        return
    if one.labels == "segmenter":
        if one.segmenter is None:
            raise SemcompError(
                f"{one.model}: {type(model).__name__} sends a label map; name a --segmenter that makes it, or say "
                "`labels: 'true'` for the row of an oracle"
            )
        model.use_segmenter(str(find_model(one.segmenter)))
    elif classes != model.num_classes:
        raise SemcompError(
            f"{one.model}: a model of {model.num_classes} classes found, the data have {classes}; choose its own data"
        )


def _refuse_rivals(one: ModelCodec, model: CodecModule, judge: str | None) -> None:
    """The judge may neither have been part of a model's training nor make its label maps."""
    if judge is None:
        return
    if isinstance(model, ConditionalGAN):
        # `model.rivals` reads the one that validation had in training; here it is the comparison's
        rivals, part = [segmenter_of(path).fingerprint() for path in [one.segmenter] if path], "makes the label maps"
    else:
        rivals, part = model.rivals(), "was part of the training"
    if segmenter_of(judge).fingerprint() in rivals:
        raise SemcompError(f"{judge}: this segmenter {part} of {one.model} and may not judge it; name another --judge")


def _refuse_partial(models: Sequence[CodecModule], realism_judge: str | None, classes: int) -> None:
    """The discriminator may not be of one of the models' own training, and needs the label maps that it knows."""
    if realism_judge is None:
        return
    trained = discriminator_of(realism_judge).model
    if trained.condition_channels() and classes != trained.num_classes:
        raise SemcompError(
            f"{realism_judge}: a discriminator that sees {trained.num_classes} classes found, the data have {classes}; "
            "choose one of a PlainGAN, or of such data"
        )
    own = trained.codec().fingerprint
    if any(model.codec().fingerprint == own for model in models):
        raise SemcompError(
            f"{realism_judge}: the discriminator that one of the models was trained against found, which may not judge "
            "it; name the checkpoint of another training"
        )


def discriminator_of(given: str) -> TrainedDiscriminator:
    """The discriminator of a checkpoint, by name or path.

    Raises:
        SemcompError: there is none.
    """
    return TrainedDiscriminator.from_file(str(find_model(given)))


def segmenter_of(given: str) -> Segmentation:
    """The segmenter of a name or path, frozen.

    Raises:
        SemcompError: there is none.
    """
    return Segmentation.from_file(str(find_model(given)))

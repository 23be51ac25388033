"""Codecs as a comparison runs them: one instance writes a file, and an independent one reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from semcomp_pl.codecs.base import Codec, CodecFacts, facts_of
from semcomp_pl.codecs.pixels import to_bytes
from semcomp_pl.codecs.search import Search, psnr_of
from semcomp_pl.compare.measure.panel import Panel
from semcomp_pl.compare.measure.recipe import Recipe
from semcomp_pl.compare.rows import Kind
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.latent_iou import latent_iou

ORIGINAL = ("Original", "8 bits")
"""Codec and point in the rows of originals."""
ANY_QUALITY = 50
"""Placeholder quality for a codec that only decodes or states its facts, while its files are searched for."""


class NoFileError(SemcompError):
    """A format cannot reach a rate; this is expected, and no failure of the run."""


@dataclass(frozen=True)
class Candidate:
    """A codec of a comparison, at one operating point or at target rates, in a form to send to other processes."""

    codec: str
    """Display name."""
    kind: Kind
    points: Mapping[str, float | None]
    """Target rate in bits per pixel of each point by name; None for a point that is not searched."""
    recipe: Recipe
    true_labels: bool = False
    """Whether files carry the true label map."""
    seed: int | None = None
    """Seed of the training, for one of several trainings that differ in it alone."""
    by_agreement: bool = False
    """Whether points are searched for agreement with the original under the judges, instead of PSNR."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of codec and point, as in its rows."""
        return [(self.codec, point) for point in self.points]

    @property
    def searched(self) -> bool:
        """Whether its points are target rates."""
        return any(target is not None for target in self.points.values())

    def coder(self, device: str, panel: Panel, sender: Codec | None = None) -> "Coder":
        """A coder with a new receiver, and the given sender or a new one."""
        quality = {"quality": ANY_QUALITY} if self.searched else {}
        score = panel.agreement if self.by_agreement else psnr_of
        return Coder(
            self.codec,
            self.kind,
            self.points,
            self.recipe.sender(device, **quality) if sender is None else sender,
            self.recipe.codec(device, **quality),
            Search(self.recipe.of_quality(device), score=score) if self.searched else None,
            self.true_labels,
            self.seed,
        )


@dataclass
class Coder:
    """Sender and receiver of a codec."""

    codec: str
    kind: Kind
    points: Mapping[str, float | None]
    sender: Codec
    receiver: Codec
    search: Search | None = None
    true_labels: bool = False
    seed: int | None = None
    facts: CodecFacts = field(init=False)

    def __post_init__(self) -> None:
        self.facts = facts_of(self.sender)

    def encoder(self, point: str, image: Tensor, label: Tensor | None) -> Callable[[], bytes]:
        """A function that makes the file of an image (3, H, W) with label map (H, W); searches are done here already.

        Raises:
            NoFileError: no file is as small as the point's rate.
        """
        target = self.points[point]
        if target is None or self.search is None:
            labels = [label] if self.true_labels else []
            return partial(cast(Any, self.sender).compress, image, *labels)
        found = self.search.at(image, target)
        if found is None:
            raise NoFileError(f"no file at or below {target:g} bits per pixel")
        return partial(found.codec.compress, image)

    def decode(self, data: bytes) -> Tensor:
        """The image (3, H, W) of a file, decoded from nothing but its bytes."""
        return self.receiver.decompress(data)

    def latent_iou(self, image: Tensor, reconstruction: Tensor, label: Tensor | None) -> float | None:
        """Latent IoU of two images (3, H, W); None unless the codec sends a whole latent."""
        label = label[None] if self.true_labels and label is not None else None
        seen = self.facts.encode_again(reconstruction[None], image[None], label)
        return None if seen is None else float(latent_iou(*seen))


def original() -> Coder:
    """A coder that keeps originals unchanged, at 24 bits per pixel."""
    pixels = _Pixels()
    return Coder(ORIGINAL[0], "original", {ORIGINAL[1]: None}, pixels, pixels)


class _Pixels:
    """Files of plain 8-bit values; the size is kept in the object, so the object that wrote a file must read it."""

    _shape: tuple[int, ...] = ()

    def compress(self, image: Tensor) -> bytes:
        self._shape = tuple(image.shape)
        return to_bytes(image).cpu().numpy().tobytes()

    def decompress(self, data: bytes) -> Tensor:
        return torch.from_numpy(np.frombuffer(data, np.uint8).reshape(self._shape).copy()) / 255

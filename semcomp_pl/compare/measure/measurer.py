"""One image through every codec: files, what comes back from them, and every metric of each pair."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from semcomp_pl.compare.measure.coders import Coder, ModelCoder, Pixels, ReferenceCoder, discriminator_of, segmenter_of
from semcomp_pl.compare.config import Metric, ModelCodec, Reference
from semcomp_pl.compare.measure.pictures import save_map, save_picture
from semcomp_pl.compare.rows import FIXED
from semcomp_pl.compare.measure.sets import SETS, save_features
from semcomp_pl.data.cache import Store
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.discriminator_fm import DiscriminatorFM
from semcomp_pl.metrics.fid import InceptionFeatures
from semcomp_pl.metrics.image_mean import as_decoded
from semcomp_pl.metrics.miou import image_confusions, pixel_accuracy
from semcomp_pl.metrics.ms_ssim import ms_ssim, ms_ssim_key
from semcomp_pl.metrics.network import NetworkMean, in_float32
from semcomp_pl.metrics.psnr import psnr
from semcomp_pl.metrics.suite import MetricSuite

Pair = tuple[str, str, str]
"""Codec, point, image."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured, in a form that goes to other processes.

    Raises:
        SemcompError: two codec points of one name.
    """

    directory: Path
    """Of the results."""
    store: Store
    names: Sequence[str]
    """Images compared, the first of the store."""
    pictured: Set[str]
    """Images whose reconstructions are kept."""
    models: Sequence[ModelCodec]
    references: Sequence[Reference]
    judge: str | None
    realism_judge: str | None
    metrics: Sequence[Metric]
    device: str

    def __post_init__(self) -> None:
        twice = [f"{codec}, {point}" for (codec, point), count in Counter(self.points()).items() if count > 1]
        if twice:
            raise SemcompError(f"two codecs as {twice[0]} found; give each a `codec` or `point` of its own")

    def makers(self) -> int:
        """Number of coders: the original, the models, the references."""
        return 1 + len(self.models) + len(self.references)

    def coder(self, place: int) -> Coder:
        """A coder, loaded now."""
        if place == 0:
            return cast(Coder, Pixels())
        if place <= len(self.models):
            return ModelCoder(self.models[place - 1], self.device)
        return ReferenceCoder(self.references[place - 1 - len(self.models)])

    def points_of(self, place: int) -> list[tuple[str, str]]:
        """Codec and points of the rows that a coder makes, without loading it."""
        if 0 < place <= len(self.models):
            one = self.models[place - 1]
            return [(str(one.codec), str(one.point))]
        coder = self.coder(place)
        return [(coder.codec, point) for point in coder.points]

    def points(self) -> list[tuple[str, str]]:
        """Codecs and points of all rows, in order."""
        return [pair for place in range(self.makers()) for pair in self.points_of(place)]


class Measurer:
    """Codecs, judge and metrics of a plan, loaded once a process.

    Attributes:
        busy: Seconds spent in codecs and metrics, the rest being the harness's own.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.busy = plan, 0.0
        self.data = ImageDataset(plan.store)
        self.coders = [plan.coder(place) for place in range(plan.makers())]
        self.judge = None if plan.judge is None else segmenter_of(plan.judge).to(plan.device)
        self.realism = None if plan.realism_judge is None else DiscriminatorFM(discriminator_of(plan.realism_judge))
        self.extra = MetricSuite(
            extra=[name for name in plan.metrics if name != "latent_iou" and name not in SETS]
        ).extra
        self.features = InceptionFeatures() if SETS.keys() & plan.metrics else None

    def rows(self, index: int, done: Set[Pair] = frozenset()) -> Iterator[Row]:
        """The rows of one image that are not among those done; a pair that fails has its error."""
        sample = self.data[index]
        image, label, name = sample["image"].to(self.plan.device), sample.get("label"), sample["name"]
        label = None if label is None else label.to(self.plan.device)
        wanted = [
            (coder, point) for coder in self.coders for point in coder.points if (coder.codec, point, name) not in done
        ]
        original = cache(lambda: self._read(image))
        for coder, point in wanted:
            row: Row = {"codec": coder.codec, "point": point, "kind": coder.kind, "target": coder.points[point]}
            row = dict.fromkeys(FIXED) | row | {"image": name, "height": image.shape[-2], "width": image.shape[-1]}
            try:
                row |= self._measure(coder, point, name, image, label, original)
            except Exception as error:  # whatever one pair dies of, the others are still wanted
                reason = str(error) if isinstance(error, SemcompError) else f"{type(error).__name__}: {error}"
                row["error"] = reason.splitlines()[0][:300]
            yield row

    def _measure(
        self,
        coder: Coder,
        point: str,
        name: str,
        image: Tensor,
        label: Tensor | None,
        original: Callable[[], Tensor | None],
    ) -> Row:
        with self._working():
            data = coder.encoder(point, image, label)()
            decoded = coder.decode(point, data).to(image.device)
            if not decoded.isfinite().all():
                raise SemcompError("values that are no finite numbers found in the reconstruction")
            reconstruction = as_decoded(decoded)
            found: Row = {"bytes": len(data), "bpp": 8 * len(data) / (image.shape[-2] * image.shape[-1])}
            found |= {f"bytes_{section}": size for section, size in coder.sections(data).items()}
            found |= self._quality(reconstruction[None], image[None], None if label is None else label[None])
            seen = self._read(reconstruction)
            found |= self._semantics(seen, original(), label)
            if "latent_iou" in self.plan.metrics:
                found["latent_iou"] = coder.latent_iou(image, reconstruction, label)
            if self.features is not None:
                with in_float32(self.features, image.device) as network:
                    save_features(self.plan.directory, name, coder.codec, point, network(reconstruction[None])[0])
        if name in self.plan.pictured:
            save_picture(self.plan.directory, name, coder.codec, point, reconstruction)
            if seen is not None:
                save_map(self.plan.directory, name, coder.codec, point, seen)
        return found

    def _quality(self, reconstruction: Tensor, image: Tensor, label: Tensor | None) -> Row:
        found = {"psnr": psnr(reconstruction, image).item()}
        if key := ms_ssim_key((image.shape[-2], image.shape[-1])):
            found[key] = ms_ssim(reconstruction, image).item()
        for name, metric in self.extra.items():
            found[name] = cast(NetworkMean, metric).per_image(reconstruction, image).item()
        if self.realism is not None:
            found["discriminator_fm"] = self.realism.per_image(reconstruction, image, label).item()
        return found

    def _read(self, image: Tensor) -> Tensor | None:
        """The judge's label map (H, W) of an image (3, H, W)."""
        return None if self.judge is None else self.judge.predict(as_decoded(image)[None])[0]

    def _semantics(self, seen: Tensor | None, original: Tensor | None, label: Tensor | None) -> Row:
        found: Row = {}
        truths = {"": label, "_self": original}
        for suffix, truth in truths.items():
            if self.judge is not None and seen is not None and truth is not None:
                counts = image_confusions(seen[None], truth[None], self.judge.num_classes)[0]
                found |= {f"confusion{suffix}": counts.flatten().tolist()}
                found |= {f"accuracy{suffix}": pixel_accuracy(counts).item()} if counts.any() else {}
        return found

    @contextmanager
    def _working(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.busy += time.perf_counter() - started


def available(metrics: Sequence[Metric], realism_judge: str | None) -> tuple[list[Metric], dict[str, Any]]:
    """The metrics whose weights are there, and all by what each was measured; warns of the others."""
    suite = MetricSuite(extra=[name for name in metrics if name != "latent_iou"])
    known = suite.provenance()
    found = [name for name in metrics if name == "latent_iou" or name in suite.extra]
    judges = {} if realism_judge is None else {"discriminator_fm": discriminator_of(realism_judge).provenance()}
    return found, {name: known.get(name) for name in found} | judges

"""Measuring one image with all codecs: files, reconstructions, and the metrics of each pair."""

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from functools import cache
from typing import Any

from torch import Tensor

from semcomp_pl.codecs.pixels import as_decoded
from semcomp_pl.compare.measure.coders import Coder, NoFileError
from semcomp_pl.compare.measure.pictures import save_map, save_picture
from semcomp_pl.compare.measure.plan import Loaded, Plan
from semcomp_pl.compare.measure.sets import save_features
from semcomp_pl.compare.rows import FIXED
from semcomp_pl.data.datamodule import ImageDataset
from semcomp_pl.errors import SemcompError

Pair = tuple[str, str, str]
"""Codec, point, image."""
Row = dict[str, Any]


class Measurer:
    """Codecs, judges and metrics of a plan, in one process.

    Args:
        plan: Plan of the comparison.
        loaded: Networks and codecs that this process has already loaded.

    Attributes:
        busy: Seconds spent in codecs and metrics, as opposed to the comparison's own overhead.
    """

    def __init__(self, plan: Plan, loaded: Loaded | None = None) -> None:
        self.plan, self.busy = plan, 0.0
        self.data = ImageDataset(plan.store)
        loaded = loaded or plan.load()
        self.instruments, self.coders = loaded.instruments, plan.coders(loaded)

    def rows(self, index: int, done: Set[Pair] = frozenset()) -> Iterator[Row]:
        """The rows of one image, without those done; a row of a failed pair holds its error."""
        sample = self.data[index]
        image, label, name = sample["image"].to(self.plan.device), sample.get("label"), sample["name"]
        label = None if label is None else label.to(self.plan.device)
        wanted = [
            (coder, point) for coder in self.coders for point in coder.points if (coder.codec, point, name) not in done
        ]
        original = cache(lambda: self.instruments.panel.predict(image))
        for coder, point in wanted:
            row: Row = {"codec": coder.codec, "point": point, "kind": coder.kind, "target": coder.points[point]}
            row |= {"seed": coder.seed}
            row = dict.fromkeys(FIXED) | row | {"image": name, "height": image.shape[-2], "width": image.shape[-1]}
            try:
                row |= self._measure(coder, point, name, image, label, original)
                row["status"] = "ok"
            except Exception as error:  # whatever the error of one pair, the others are still measured
                row["status"] = "no_file" if isinstance(error, NoFileError) else "failed"
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
        original: Callable[[], dict[str, Tensor]],
    ) -> Row:
        with self._working():
            data = coder.encoder(point, image, label)()
            decoded = coder.decode(data).to(image.device)
            if not decoded.isfinite().all():
                raise SemcompError("values that are no finite numbers found in the reconstruction")
            reconstruction = as_decoded(decoded)
            found: Row = {"bytes": len(data), "bpp": 8 * len(data) / (image.shape[-2] * image.shape[-1])}
            found |= {f"bytes_{section}": size for section, size in coder.facts.sections(data).items()}
            found |= self.instruments.quality(reconstruction, image, label)
            predicted = self.instruments.panel.predict(reconstruction)
            found |= self.instruments.panel.scores(predicted, label, original())
            if "latent_iou" in self.plan.metrics:
                found["latent_iou"] = coder.latent_iou(image, reconstruction, label)
            features = self.instruments.features(reconstruction)
        if features is not None:
            save_features(self.plan.directory, name, coder.codec, point, features)
        if name in self.plan.pictured:
            save_picture(self.plan.directory, name, coder.codec, point, reconstruction)
            for first in [*predicted.values()][:1]:
                save_map(self.plan.directory, name, coder.codec, point, first)
        return found

    @contextmanager
    def _working(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.busy += time.perf_counter() - started

"""Several image sources as one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.data.listing import some
from semcomp_pl.data.source import ImageSource, Sample, Split
from semcomp_pl.errors import SemcompError
from semcomp_pl.types import IGNORE


class Mixture(ImageSource):
    """Several sources as one: their images in the order of the sources, named `SOURCE/NAME`.

    An epoch has as many draws as all sources together have training images. With shares, an image is drawn several
    times an epoch, each time with another augmentation, or in some epochs only. Statistics of the training split count
    each image once, whatever the shares.

    Args:
        sources: The sources by name, such as `idd`; change one by `--data.source.sources.idd.root=DIR`.
        shares: How many of an epoch's draws come from each source, relative to one another: `{idd: 3, photos: 1}` for
            three quarters and one quarter. If not given, every image is drawn once.
        classes: Names of the common classes 0..K-1. If not given, there are no labels, whatever the sources have.
        mapping: The common class of each class of a source, by source: `{camvid: {road: drivable}}`. Classes that it
            does not name are ignored. A source that is not in it has common classes under their own names.

    Raises:
        SemcompError: there is no source, a name of a source or class is unknown, a share is not positive, or a source
            has none of the common classes.
    """

    def __init__(
        self,
        sources: dict[str, ImageSource],
        shares: dict[str, float] | None = None,
        classes: list[str] | None = None,
        mapping: dict[str, dict[str, str]] | None = None,
    ) -> None:
        if not sources or any("/" in name for name in sources):
            raise SemcompError(f"sources {[*sources]} found, expected one or more, with names without a slash")
        self.sources, self.shares, self.classes = sources, shares, tuple(classes or ())
        self.parts = tuple(sources)
        self.root = next(iter(sources.values())).root
        _expect("sources", self.parts, [*(shares or sources), *(mapping or {})])
        if shares and (min(shares.values()) <= 0 or len(shares) < len(sources)):
            raise SemcompError(f"shares {shares} found, expected a positive one for each of {', '.join(sources)}")
        self.tables = {name: self._table(name, (mapping or {}).get(name)) for name in sources if self.classes}

    def _table(self, name: str, mapping: Mapping[str, str] | None) -> NDArray[np.uint8]:
        """The common train id of each train id 0..255 of a source."""
        own = self.sources[name].classes
        mapping = {common: common for common in self.classes if common in own} if mapping is None else mapping
        _expect(f"classes of {name}", own, mapping)
        _expect("common classes", self.classes, mapping.values())
        if not mapping:
            raise SemcompError(
                f"source {name} without any of the common classes {', '.join(self.classes)} found, expected labels in "
                "all sources or in none; give --data.source.mapping, or leave --data.source.classes null"
            )
        table = np.full(256, IGNORE, np.uint8)
        for index, cls in enumerate(own):
            if cls in mapping:
                table[index] = self.classes.index(mapping[cls])
        return table

    def samples(self, split: Split) -> list[Sample]:
        """All samples, without maps that some sources lack."""
        found = [
            sample._replace(name=f"{name}/{sample.name}")
            for name, source in self.sources.items()
            for sample in _samples(name, source, split)
        ]
        if not self.classes:
            found = [sample._replace(label=None) for sample in found]
        elif bare := [sample.name for sample in found if sample.label is None]:
            raise SemcompError(f"{some(bare)} {split} images without label map found, expected one for each")
        if any(sample.instance is None for sample in found):
            found = [sample._replace(instance=None) for sample in found]
        return found

    def prepare(self) -> None:
        """Prepare all sources."""
        for source in self.sources.values():
            source.prepare()

    def read_maps(self, sample: Sample) -> dict[str, NDArray[Any]]:
        """The maps of the sample's source, with common train ids."""
        part, _, name = sample.name.partition("/")
        maps = self.sources[part].read_maps(sample._replace(name=name))
        if "label" in maps:
            maps["label"] = self.tables[part][maps["label"]]
        return maps

    def weights(self, names: Sequence[str]) -> NDArray[np.float64] | None:
        """Each source's share, divided among its images."""
        if self.shares is None:
            return None
        parts = [name.partition("/")[0] for name in names]
        counts = Counter(parts)
        return np.array([self.shares[part] / counts[part] for part in parts])

    def key(self) -> list[Any]:
        """The keys of the sources, and their common train ids."""
        tables = {name: table.tolist() for name, table in self.tables.items()}
        return [*super().key(), tables, *([name, source.key()] for name, source in self.sources.items())]


def _samples(name: str, source: ImageSource, split: Split) -> list[Sample]:
    try:
        return source.samples(split)
    except SemcompError as error:
        own = str(error).replace("--data.source.", f"--data.source.sources.{name}.")
        raise SemcompError(f"source {name}: {own}") from None


def _expect(kind: str, known: Iterable[str], found: Iterable[str]) -> None:
    """Raise SemcompError unless all that is found is known."""
    unknown = sorted({*found} - {*known})
    if unknown:
        raise SemcompError(f"{', '.join(unknown)} found, expected {kind}: {', '.join(known) or 'there are none'}")

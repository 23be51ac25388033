"""Metrics that compare sets of images: features are saved while measuring, and compared when rows are merged.

features/IMAGE/CODEC/POINT.npy   features of the reconstruction, float32 (D,); the original is among the codecs
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torchmetrics.utilities import rank_zero_warn

from semcomp_pl.compare.measure.pictures import pair_path
from semcomp_pl.compare.rows import PAIR
from semcomp_pl.errors import SemcompWarning
from semcomp_pl.files.atomic import write_file
from semcomp_pl.metrics.catalogue import SETS


def save_features(directory: Path, image: str, codec: str, point: str, features: Tensor) -> None:
    """Save the features (D,) of a reconstruction."""
    path = _path(directory, image, codec, point)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda file: np.save(file, features.float().cpu().numpy()))


def compare_sets(directory: Path, rows: pl.DataFrame, names: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """The named metrics by codec and point, comparing the images at which a point did not fail with their originals.

    A point with a single image gets none, and one whose features are missing gets none with a warning.
    """
    asked = {name: SETS[name] for name in names if name in SETS}
    found: dict[str, dict[str, dict[str, float]]] = {}
    if not asked:
        return found
    fine = rows.filter(status="ok")
    originals = {row[2]: row for row in fine.filter(pl.col("kind") == "original").select(*PAIR).iter_rows()}
    coded = fine.filter(pl.col("kind") != "original", pl.col("image").is_in(list(originals)))
    for (codec, point), group in coded.group_by("codec", "point", maintain_order=True):
        if len(group) < 2:
            continue
        try:
            fake = _features(directory, group.select(*PAIR).iter_rows())
            real = _features(directory, (originals[image] for image in group["image"]))
        except OSError as error:
            rank_zero_warn(f"{codec}, {point}: no {', '.join(asked)}: {error}", category=SemcompWarning)
            continue
        found.setdefault(str(codec), {})[str(point)] = {name: float(of(fake, real)) for name, of in asked.items()}
    return found


def _features(directory: Path, pairs: Iterable[tuple[str, str, str]]) -> Tensor:
    paths = (_path(directory, image, codec, point) for codec, point, image in pairs)
    return torch.from_numpy(np.stack([np.load(path) for path in paths]))


def _path(directory: Path, image: str, codec: str, point: str) -> Path:
    return pair_path(directory / "features", image, codec, point, ".npy")

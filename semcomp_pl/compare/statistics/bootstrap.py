"""Data-set values and their paired bootstrap over images.

Every value here is a function of sums over images: a mean, or the IoU of summed counts. So a resampling of the images
is a vector of counts, and all resamplings of all sums are a single matrix product.

Intervals are bias-corrected percentiles. For means they are close to plain percentiles. Resampling biases mIoU
downward, as rare classes occur in few images: over 50 synthetic street scenes, plain percentiles covered the true mIoU
in 87 % of 300 trials, bias-corrected ones in 93 %. Source: Efron, Canadian Journal of Statistics 9, 1981; Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 14, without acceleration.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from semcomp_pl.metrics.catalogue import by_judge, of_judge

Array = NDArray[np.float64]
Sample = Mapping[str, Array]
"""Results of one point by image: metrics (N,), and `hits_and_unions` (N, 2, K) as `miou` and `miou_agreement`, or those
of each of several judges as `miou@JUDGE`. NaN marks an image without a value."""

LEVEL = 0.95
_CHUNK = 1 << 22  # number of weights converted to float64 at once: 32 MiB


class Bootstrap:
    """Resamplings of N images, drawn once, so that all codecs see the same ones.

    Args:
        images: Number of images N.
        draws: Number of resamplings.
        seed: Seed of the random numbers.
    """

    def __init__(self, images: int, draws: int = 10_000, seed: int = 0) -> None:
        self.images, self.draws, self.seed = images, draws, seed
        rng = np.random.default_rng(seed)
        self._weights = np.ones((1 + draws, images), np.uint16)
        step = max(1, _CHUNK // max(1, images))
        for start in range(1, 1 + draws if images else 1, step):
            part = self._weights[start : start + step]
            part[:] = rng.multinomial(images, np.full(images, 1 / images), size=len(part))

    def sums(self, features: Array) -> Array:
        """Sums of features (N, F) over images: (1 + draws, F), first over all images, then over each resampling."""
        sums = np.empty((len(self._weights), features.shape[1]))
        step = max(1, _CHUNK // max(1, self.images))
        for start in range(0, len(sums), step):
            with np.errstate(invalid="ignore"):  # 0 times an infinite value, such as the PSNR of an original
                sums[start : start + step] = self._weights[start : start + step].astype(np.float64) @ features
        return sums

    def values(
        self, sample: Sample, classes: list[str], ceiling: Sample | None = None, panel: Sequence[str] = ()
    ) -> dict[str, Array]:
        """All data-set values of a point: each (1 + draws,), first over all images, then over each resampling.

        Args:
            sample: Results of the point by image.
            classes: Names of the K classes.
            ceiling: Results of the originals.
            panel: Those of several judges whose means stand under the names without a judge.

        Returns:
            Means of metrics over the images that have them; `miou`, `miou_agreement` and `iou_CLASS` from sums over
            images; `miou_ratio` if the ceiling covers all of the sample's images. NaN if a resampling has no value, as
            for a class that occurs in none of its images.
        """
        values = self._means({name: array for name, array in sample.items() if array.ndim == 1})
        for name, array in sample.items():
            if array.ndim == 3:
                values |= self._judged(name, array, classes, (ceiling or {}).get(name))
        return values | means_over(panel, values)

    def _judged(self, name: str, counts: Array, classes: list[str], ceiling: Array | None) -> dict[str, Array]:
        """The mIoU of one judge's counts (N, 2, K); of those with the truth also the IoU of classes, and the ratio."""
        metric, judge = of_judge(name)
        iou = self._iou(counts)
        values = {name: _mean_of_present(iou)}
        if metric != "miou":
            return values
        values |= {by_judge(f"iou_{label}", judge): iou[:, k] for k, label in enumerate(classes)}
        if ceiling is not None and not (np.isnan(ceiling) & ~np.isnan(counts)).any():
            seen = np.where(np.isnan(counts), np.nan, ceiling)
            with np.errstate(divide="ignore", invalid="ignore"):
                values[by_judge("miou_ratio", judge)] = values[name] / _mean_of_present(self._iou(seen))
        return values

    def _means(self, columns: Sample) -> dict[str, Array]:
        if not columns:
            return {}
        stacked = np.stack(list(columns.values()), axis=1)
        seen = ~np.isnan(stacked)
        sums = self.sums(np.where(seen, stacked, 0))
        counts = np.full((1, len(columns)), float(self.images)) if seen.all() else self.sums(seen.astype(np.float64))
        with np.errstate(divide="ignore", invalid="ignore"):
            means = sums / counts
        return {name: means[:, i] for i, name in enumerate(columns)}

    def _iou(self, counts: Array) -> Array:
        classes = counts.shape[2]
        sums = self.sums(np.nan_to_num(counts).reshape(len(counts), 2 * classes))
        with np.errstate(invalid="ignore"):
            iou: Array = sums[:, :classes] / sums[:, classes:]
        return iou


def means_over(panel: Sequence[str], values: Mapping[str, Array]) -> dict[str, Array]:
    """The mean over a panel's judges of each value that all of them have."""
    names = dict.fromkeys(of_judge(name)[0] for name in values if of_judge(name)[1])
    columns = {name: [by_judge(name, judge) for judge in panel] for name in names}
    return {
        name: np.mean([values[one] for one in own], axis=0)
        for name, own in columns.items()
        if own and all(one in values for one in own)
    }


def paired(one: Sample, other: Sample) -> tuple[Sample, Sample]:
    """The metrics that two points have in common, with NaN at images where either has no value."""
    common = sorted(one.keys() & other.keys())
    return (
        {name: np.where(np.isnan(other[name]), np.nan, one[name]) for name in common},
        {name: np.where(np.isnan(one[name]), np.nan, other[name]) for name in common},
    )


def hits_and_unions(confusion: NDArray[np.int64]) -> Array:
    """Hits and unions of each class (N, 2, K) from matrices (N, K, K) of pixels by true and predicted class.

    Their sums over images give the IoU that `semcomp_pl.metrics.miou.class_iou` computes from the summed matrices.
    """
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    unions = confusion.sum(axis=1) + confusion.sum(axis=2) - hits
    return np.stack([hits, unions], axis=1).astype(np.float64)


def interval(value: float, draws: Array) -> tuple[float, float] | None:
    """The bias-corrected central 95 % of a value's finite resamplings (D,); None if there are none."""
    finite = draws[np.isfinite(draws)]
    if not finite.size:
        return None
    below = (np.mean(finite < value) + np.mean(finite <= value)) / 2
    shift = 2 * ndtri(np.clip(below, 1 / len(finite), 1 - 1 / len(finite)))
    low, high = np.quantile(finite, ndtr(shift + ndtri([(1 - LEVEL) / 2, (1 + LEVEL) / 2])))
    return float(low), float(high)


def _mean_of_present(iou: Array) -> Array:
    """Mean of (D, K) over classes, ignoring NaN; NaN if all classes are."""
    present = ~np.isnan(iou)
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(present, iou, 0).sum(axis=1) / present.sum(axis=1)
    return mean

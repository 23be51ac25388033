"""Bjontegaard's average distances between two rate-distortion curves, with intervals from resampled curves.

Values are computed by the package `bjontegaard`, with the monotone cubic interpolation (PCHIP) of JVET's common test
conditions. Intervals need the same integral of ten thousand curves, which `integral` computes together.
Source: Bjontegaard, VCEG-M33, 2001; JVET-T2010; Herglotz et al., arXiv 2304.12852.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.compare.statistics.bootstrap import Array, interval
from semcomp_pl.compare.summary import Bjontegaard, Estimate
from semcomp_pl.metrics import describe

MIN_POINTS = 4
MIN_OVERLAP = 0.75
"""Overlap, as a share of the joint range, below which this module warns; the default of the package `bjontegaard`."""
MIN_DEFINED = 0.95
"""Share of the resamplings that must have a value for an interval to be given; chosen by hand."""


class Curve(NamedTuple):
    """A codec's curve in one metric, with its resamplings."""

    codec: str
    rate: Array
    """Mean bits per pixel (1 + D, points): row 0 over all images, by which points are sorted, then D resamplings."""
    quality: Array
    """The metric (1 + D, points); (1, points) if single images have no value."""


def compare(anchor: Curve, test: Curve, metric: str) -> Bjontegaard:
    """BD-rate and BD-metric of `test` against `anchor`; a value that cannot be computed is None, with a note why."""
    notes = [
        f"{curve.codec} has {curve.rate.shape[1]} points, at least {MIN_POINTS} are needed"
        for curve in (anchor, test)
        if curve.rate.shape[1] < MIN_POINTS
    ]
    if notes:
        return Bjontegaard(anchor.codec, test.codec, metric, None, None, None, None, notes)
    sign = -1 if describe(metric).higher_is_better is False else 1
    rates = np.log10(anchor.rate), np.log10(test.rate)
    qualities = sign * anchor.quality, sign * test.quality
    shared = overlap(rates[0][0], rates[1][0]), overlap(qualities[0][0], qualities[1][0])
    codecs = (anchor.codec, test.codec)
    quality = _average(rates, qualities, lambda gap: sign * gap)
    rate = _average(qualities, rates, lambda gap: (10**gap - 1) * 100)
    notes = [*_notes("BD-metric", "rate", rates, codecs), *_notes("BD-rate", describe(metric).label, qualities, codecs)]
    return Bjontegaard(*codecs, metric, rate, quality, *shared, notes)


def swap(delta: Bjontegaard) -> Bjontegaard:
    """The same comparison with anchor and test exchanged."""
    return replace(
        delta,
        anchor=delta.test,
        test=delta.anchor,
        rate=None if delta.rate is None else _mirror(delta.rate, lambda percent: 100 / (1 + percent / 100) - 100),
        quality=None if delta.quality is None else negative(delta.quality),
    )


def negative(difference: Estimate) -> Estimate:
    """The difference with the opposite sign."""
    return _mirror(difference, lambda value: 0.0 - value)


def _mirror(estimate: Estimate, falling: Callable[[float], float]) -> Estimate:
    low, high = (None if end is None else falling(end) for end in (estimate.high, estimate.low))
    return Estimate(falling(estimate.value), low, high)


def overlap(first: Array, second: Array) -> float:
    """Share of the joint range of two sets of values that both cover, in [0, 1]."""
    joint = max(first.max(), second.max()) - min(first.min(), second.min())
    shared = min(first.max(), second.max()) - max(first.min(), second.min())
    return float(max(0.0, shared) / joint) if joint > 0 else 0.0


def _notes(name: str, axis: str, along: tuple[Array, Array], codecs: tuple[str, str]) -> list[str]:
    """Reasons why there is no value, or why to read it with care."""
    turning = [codec for codec, x in zip(codecs, along, strict=True) if not _rises(x)[0]]
    if turning:
        return [f"no {name}: {axis} does not improve from point to point with the rate for {', '.join(turning)}"]
    share = overlap(along[0][0], along[1][0])
    if share == 0:
        return [f"no {name}: the ranges of {axis} do not overlap"]
    return [f"{name} rests on {share:.0%} of the joint range of {axis}"] if share < MIN_OVERLAP else []


def _average(x: tuple[Array, Array], y: tuple[Array, Array], convert: Callable[[Array], Array]) -> Estimate | None:
    """Mean difference of y, second curve minus first, over the shared range of x, then converted."""
    import bjontegaard  # here, because it imports matplotlib.pyplot

    if not (_rises(x[0])[0] and _rises(x[1])[0] and overlap(x[0][0], x[1][0]) > 0):
        return None
    options = {"method": "pchip", "require_matching_points": False, "min_overlap": 0}
    gap = bjontegaard.bd_linear(x[0][0], y[0][0], x[1][0], y[1][0], **options)
    value = float(convert(np.array([gap]))[0])
    if 1 in {len(array) for array in (*x, *y)}:
        return Estimate(value)
    draws = [array[1:] for array in (x[0], y[0], x[1], y[1])]
    low = np.maximum(draws[0].min(axis=1), draws[2].min(axis=1))
    high = np.minimum(draws[0].max(axis=1), draws[2].max(axis=1))
    usable = _rises(draws[0]) & _rises(draws[2]) & (low < high)
    if usable.mean() < MIN_DEFINED:
        return Estimate(value)
    ax, ay, bx, by = (array[usable] for array in draws)
    low, high = low[usable], high[usable]
    gaps = (integral(bx, by, low, high) - integral(ax, ay, low, high)) / (high - low)
    return Estimate(value, *(interval(value, convert(gaps)) or (None, None)))


def _rises(x: Array) -> NDArray[np.bool_]:
    """Whether each row of (D, n) rises strictly; rows with NaN do not."""
    rising: NDArray[np.bool_] = np.all(np.diff(x, axis=1) > 0, axis=1)
    return rising


def integral(x: Array, y: Array, low: Array, high: Array) -> Array:
    """Integrals (D,) of the PCHIP interpolants through D rows of points (D, n), n >= 3.

    Equal to scipy.interpolate.PchipInterpolator(x[i], y[i]).integrate(low[i], high[i]), for all rows at once; the
    bounds (D,) must lie within x.
    Source: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984.
    """
    h = np.diff(x, axis=1)
    slopes = _pchip_slopes(h, np.diff(y, axis=1) / h)

    def until(end: Array) -> Array:
        t = np.clip((end[:, None] - x[:, :-1]) / h, 0, 1)
        t2, t3, t4 = t**2, t**3, t**4
        values = y[:, :-1] * (t - t3 + t4 / 2) + y[:, 1:] * (t3 - t4 / 2)
        bends = slopes[:, :-1] * (t2 / 2 - 2 * t3 / 3 + t4 / 4) + slopes[:, 1:] * (t4 / 4 - t3 / 3)
        total: Array = (h * (values + h * bends)).sum(axis=1)
        return total

    return until(high) - until(low)


def _pchip_slopes(h: Array, secants: Array) -> Array:
    """Derivatives (D, n) at the points, from the lengths of the intervals and their secants (D, n - 1)."""
    left, right = secants[:, :-1], secants[:, 1:]
    near, far = 2 * h[:, 1:] + h[:, :-1], h[:, 1:] + 2 * h[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (near + far) / (near / left + far / right)
    inner = np.where(left * right > 0, mean, 0)
    first = _end_slope(h[:, 0], h[:, 1], secants[:, 0], secants[:, 1])
    last = _end_slope(h[:, -1], h[:, -2], secants[:, -1], secants[:, -2])
    return np.concatenate([first[:, None], inner, last[:, None]], axis=1)


def _end_slope(h0: Array, h1: Array, m0: Array, m1: Array) -> Array:
    slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    slope = np.where(np.sign(slope) != np.sign(m0), 0, slope)
    steep = (np.sign(m0) != np.sign(m1)) & (np.abs(slope) > 3 * np.abs(m0))
    return np.where(steep, 3 * m0, slope)

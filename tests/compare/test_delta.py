"""Bjontegaard deltas against published values, SciPy and the package itself."""

import bjontegaard
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from semcomp_pl.compare.statistics.bootstrap import Array, interval
from semcomp_pl.compare.statistics.delta import Curve, compare, integral, overlap, swap
from semcomp_pl.compare.summary import Estimate

# the example of https://github.com/FAU-LMS/bjontegaard
ANCHOR = [1358.24, 2486.44, 4593.60, 9487.76], [34.851, 36.845, 38.615, 40.037]
TEST = [1356.24, 2451.52, 4469.00, 9787.80], [34.987, 36.970, 38.651, 40.121]


def known(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate


def curve(points: tuple[list[float], list[float]], name: str = "A", sign: int = 1) -> Curve:
    rate, quality = np.array(points)
    return Curve(name, rate[None], sign * quality[None])


@pytest.mark.parametrize(
    ("anchor", "test", "published"),
    [  # JCTVC-E137, as in https://github.com/Netflix/vmaf/blob/master/python/test/bd_rate_calculator_test.py
        (
            ([18883.6928, 33905.6656, 61279.976, 108048.8736], [34.2911, 37.247, 40.3953, 43.6471]),
            ([18910.912, 33928.7472, 61299.9936, 108061.2784], [34.3147, 37.2761, 40.4232, 43.6768]),
            -0.465215420752807,
        ),
        (
            ([1017.6184, 2394.488, 7622.7456, 40433.8848], [32.0603, 33.8977, 35.3756, 37.5761]),
            ([1017.0984, 2390.0944, 7587.0024, 40370.12], [32.0822, 33.9194, 35.4025, 37.5982]),
            -1.8779823450567612,
        ),
    ],
)
def test_published_bd_rates(
    anchor: tuple[list[float], list[float]], test: tuple[list[float], list[float]], published: float
) -> None:
    found = compare(curve(anchor), curve(test, "B"), "psnr")
    assert known(found.rate).value == pytest.approx(published, abs=1e-9)
    assert known(found.rate).low is None
    assert found.notes == []


def test_example_of_the_package_in_both_directions() -> None:
    found, back = compare(curve(ANCHOR), curve(TEST, "B"), "psnr"), compare(curve(TEST, "B"), curve(ANCHOR), "psnr")
    theirs = [bd(*ANCHOR, *TEST, method="pchip") for bd in (bjontegaard.bd_rate, bjontegaard.bd_psnr)]
    assert [known(found.rate).value, known(found.quality).value] == pytest.approx(theirs, rel=1e-9)
    swapped = swap(found)
    assert (swapped.anchor, swapped.test) == ("B", "A")
    assert known(swapped.rate).value == pytest.approx(known(back.rate).value, rel=1e-9)
    assert known(swapped.quality).value == pytest.approx(known(back.quality).value, rel=1e-9)


def test_of_a_metric_where_lower_is_better_the_sign_is_the_metrics_own() -> None:
    up = compare(curve(ANCHOR), curve(TEST, "B"), "psnr")
    down = compare(curve(ANCHOR, sign=-1), curve(TEST, "B", sign=-1), "lpips")
    assert down.rate == up.rate
    assert known(down.quality).value == -known(up.quality).value
    assert down.quality_overlap == pytest.approx(up.quality_overlap)


def test_same_quality_at_half_the_rate_is_minus_fifty_percent() -> None:
    rate, quality = ANCHOR
    found = compare(curve(ANCHOR), curve(([each / 2 for each in rate], quality), "B"), "miou")
    assert known(found.rate).value == pytest.approx(-50, abs=1e-9)


def resampled(points: tuple[list[float], list[float]], rng: np.random.Generator, draws: int) -> tuple[Array, Array]:
    rate, quality = np.array(points)
    rates = rate * (1 + 0.01 * rng.standard_normal((draws, 1)))
    return np.vstack([rate, rates]), np.vstack([quality, quality + 0.05 * rng.standard_normal((draws, 4))])


def test_intervals_are_those_of_the_package_on_every_resampling(rng: np.random.Generator) -> None:
    (ar, aq), (br, bq) = resampled(ANCHOR, rng, 200), resampled(TEST, rng, 200)
    found = compare(Curve("A", ar, aq), Curve("B", br, bq), "psnr")
    for mine, theirs in ((found.rate, bjontegaard.bd_rate), (found.quality, bjontegaard.bd_psnr)):
        each = np.array([theirs(*row, method="pchip") for row in zip(ar, aq, br, bq, strict=True)])
        assert known(mine).value == pytest.approx(each[0], rel=1e-9)
        assert (known(mine).low, known(mine).high) == pytest.approx(interval(each[0], each[1:]), rel=1e-9)
    ends, back = known(found.quality), known(swap(found).quality)
    assert (back.low, back.high) == (-(ends.high or 0), -(ends.low or 0))


@pytest.mark.parametrize(
    ("test", "note"),
    [
        ((ANCHOR[0][:3], ANCHOR[1][:3]), "B has 3 points, at least 4 are needed"),
        ((ANCHOR[0], [34.9, 36.0, 35.9, 40.0]), "no BD-rate: PSNR does not improve from point to point"),
        ((ANCHOR[0], [44.9, 46.0, 47.9, 50.0]), "no BD-rate: the ranges of PSNR do not overlap"),
        (([each * 20 for each in ANCHOR[0]], ANCHOR[1]), "no BD-metric: the ranges of rate do not overlap"),
        (([each * 3 for each in ANCHOR[0]], ANCHOR[1]), "BD-metric rests on 28% of the joint range of rate"),
    ],
)
def test_what_cannot_be_said_is_said(test: tuple[list[float], list[float]], note: str) -> None:
    found = compare(curve(ANCHOR), curve(test, "B"), "psnr")
    assert [text for text in found.notes if text.startswith(note)], found.notes
    if note.startswith("no BD-rate") or "points" in note:
        assert found.rate is None
    if note.startswith("no BD-metric") or "points" in note:
        assert found.quality is None


def test_no_interval_where_resamplings_rarely_make_curves(rng: np.random.Generator) -> None:
    rate, quality = resampled(ANCHOR, rng, 100)
    quality[50:, 2] = 0
    found = compare(Curve("A", rate, quality), Curve("B", *resampled(TEST, rng, 100)), "psnr")
    assert known(found.rate).low is None
    assert known(found.quality).low is not None


def test_integral_is_scipys(rng: np.random.Generator) -> None:
    x, y = np.sort(rng.random((50, 6)), axis=1), rng.standard_normal((50, 6))
    low, high = x[:, 0] + 0.1 * (x[:, 5] - x[:, 0]), x[:, 5] - 0.05 * (x[:, 5] - x[:, 0])
    rows = zip(x, y, low, high, strict=True)
    theirs = [float(PchipInterpolator(*row[:2]).integrate(*row[2:])) for row in rows]
    assert integral(x, y, low, high) == pytest.approx(theirs, abs=1e-12)


def test_overlap_is_of_the_joint_range() -> None:
    assert overlap(np.array([0.0, 4.0]), np.array([1.0, 5.0])) == pytest.approx(0.6)
    assert overlap(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 0
    assert overlap(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0

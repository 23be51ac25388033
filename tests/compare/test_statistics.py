"""Values and intervals against direct loops, SciPy and simulation."""

from statistics import NormalDist

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from semcomp_pl.compare.statistics import bootstrap as module
from semcomp_pl.compare.statistics.bootstrap import Array, Bootstrap, hits_and_unions, interval, paired
from semcomp_pl.metrics.miou import class_iou

K = 4
NAMES = ["a", "b", "c", "d"]


def matrices(rng: np.random.Generator, images: int, scale: float = 1) -> NDArray[np.int64]:
    """Confusions (N, K, K) of a judge that is often right; class d is in few images."""
    weights = np.full((K, K), 4) + 40 * np.eye(K)
    counts = rng.poisson(scale * weights * rng.gamma(2, 1, (images, K, 1)))
    counts[:, 3] *= rng.random((images, 1)) < 0.5
    return counts.astype(np.int64)


def resamplings(bootstrap: Bootstrap) -> NDArray[np.int64]:
    """Which images each draw holds (draws, N), read off what an identity sums to."""
    counts = bootstrap.sums(np.eye(bootstrap.images))[1:].astype(np.int64)
    return np.array([np.repeat(np.arange(bootstrap.images), row) for row in counts])


def test_draws_are_resamplings_with_replacement(rng: np.random.Generator) -> None:
    chosen = resamplings(Bootstrap(7, 4000))
    share = np.bincount(chosen.ravel(), minlength=7) / chosen.size
    assert share == pytest.approx(1 / 7, abs=0.01)
    distinct = np.mean([len(set(row)) for row in chosen.tolist()])
    assert distinct == pytest.approx(7 * (1 - (6 / 7) ** 7), abs=0.05)


def test_values_equal_a_direct_loop(rng: np.random.Generator) -> None:
    images, bootstrap = 9, Bootstrap(9, 50, seed=3)
    psnr, counts = rng.normal(22, 2, images), matrices(rng, images)
    values = bootstrap.values({"psnr": psnr, "miou": hits_and_unions(counts)}, NAMES)
    for draw, chosen in enumerate([np.arange(images), *resamplings(bootstrap)]):
        iou = class_iou(torch.from_numpy(counts[chosen].sum(axis=0)))
        assert values["psnr"][draw] == pytest.approx(psnr[chosen].mean(), rel=1e-12)
        assert values["miou"][draw] == pytest.approx(iou.nanmean().item(), rel=1e-12)
        assert [values[f"iou_{name}"][draw] for name in NAMES] == pytest.approx(iou.tolist(), rel=1e-12, nan_ok=True)


def test_interval_of_a_mean_is_scipys(rng: np.random.Generator) -> None:
    sample = rng.normal(22, 2, 60)
    values = Bootstrap(60, 10_000).values({"psnr": sample}, [])["psnr"]
    theirs = stats.bootstrap((sample,), np.mean, n_resamples=10_000, method="percentile", rng=rng).confidence_interval
    assert interval(values[0], values[1:]) == pytest.approx((theirs.low, theirs.high), abs=0.04)


def test_interval_is_efrons_formula(rng: np.random.Generator) -> None:
    draws, value, normal = rng.gamma(2, 1, 5000), 1.9, NormalDist()
    shift = normal.inv_cdf(float(np.mean(draws < value)))
    ends = [np.quantile(draws, normal.cdf(2 * shift + normal.inv_cdf(p))) for p in (0.025, 0.975)]
    assert interval(value, draws) == pytest.approx(ends, rel=1e-9)
    assert interval(5.0, np.full(10, 5.0)) == (5, 5)
    assert interval(1.0, np.array([np.nan, np.nan])) is None
    assert interval(1.0, np.concatenate([draws, [np.nan]])) == interval(1.0, draws)


def test_the_seed_decides_and_chunks_do_not(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = {"psnr": rng.normal(size=30)}
    first = Bootstrap(30, 500, seed=1).values(sample, [])["psnr"]
    assert np.array_equal(first, Bootstrap(30, 500, seed=1).values(sample, [])["psnr"])
    assert not np.array_equal(first, Bootstrap(30, 500, seed=2).values(sample, [])["psnr"])
    monkeypatch.setattr(module, "_CHUNK", 30 * 7)
    assert Bootstrap(30, 500, seed=1).values(sample, [])["psnr"] == pytest.approx(first, rel=1e-12)


def test_differences_are_paired(rng: np.random.Generator) -> None:
    bootstrap, easy = Bootstrap(40, 1000), rng.normal(0, 5, 40)
    values = [bootstrap.values({"psnr": 20 + easy + shift}, [])["psnr"] for shift in (0, 0.5)]
    assert values[1] - values[0] == pytest.approx(0.5, abs=1e-12)
    assert np.ptp(values[0]) > 1


def test_missing_images_leave_both_samples(rng: np.random.Generator) -> None:
    one, other = rng.normal(size=6), rng.normal(size=6)
    one[1] = other[4] = np.nan
    counts = hits_and_unions(matrices(rng, 6))
    counts[2] = np.nan
    mine, theirs = paired(
        {"psnr": one, "miou": counts, "lpips": one}, {"psnr": other, "miou": hits_and_unions(matrices(rng, 6))}
    )
    assert sorted(mine) == sorted(theirs) == ["miou", "psnr"]
    both = [0, 2, 3, 5]
    bootstrap = Bootstrap(6, 20)
    mean = bootstrap.values(mine, NAMES)["psnr"][0] - bootstrap.values(theirs, NAMES)["psnr"][0]
    assert mean == pytest.approx((one[both] - other[both]).mean(), rel=1e-12)
    assert np.isnan(theirs["miou"][2]).all()


def test_ratio_to_the_ceiling_sees_the_same_images(rng: np.random.Generator) -> None:
    bootstrap, counts = Bootstrap(8, 100), hits_and_unions(matrices(rng, 8))
    part = counts.copy()
    part[:3] = np.nan
    assert bootstrap.values({"miou": part}, NAMES, {"miou": counts})["miou_ratio"] == pytest.approx(1, abs=1e-12)
    assert "miou_ratio" not in bootstrap.values({"miou": counts}, NAMES, {"miou": part})


def coverage(rng: np.random.Generator, population: Array, truth: float, name: str, images: int = 50) -> float:
    """Share of 300 samples of a population whose interval holds the population's value."""
    bootstrap, held = Bootstrap(images, 1000), 0
    for _ in range(300):
        values = bootstrap.values({name: population[rng.integers(0, len(population), images)]}, NAMES)[name]
        low, high = interval(values[0], values[1:]) or (np.nan, np.nan)
        held += low <= truth <= high
    return held / 300


def test_intervals_cover_what_they_say(rng: np.random.Generator) -> None:
    skewed = rng.gamma(3, 1, 5000)
    assert 0.91 <= coverage(rng, skewed, float(skewed.mean()), "lpips") <= 0.98
    counts = hits_and_unions(matrices(rng, 3000))
    sums = counts.sum(axis=0)
    assert 0.91 <= coverage(rng, counts, float((sums[0] / sums[1]).mean()), "miou") <= 0.98

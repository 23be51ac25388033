"""Synthetic rows that look like a real comparison: 6 codecs x 4 points x 20 images, 11 classes, and the originals."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from semcomp_pl.compare.rows import Results, metric_names, table

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
SHARES = np.array([0.16, 0.24, 0.01, 0.28, 0.07, 0.12, 0.02, 0.03, 0.05, 0.01, 0.01])
HEIGHT, WIDTH = 128, 256
TARGETS = (0.03, 0.04, 0.06, 0.1)


class About(NamedTuple):
    """A codec at 0.06 bpp."""

    kind: str
    psnr: float
    lpips: float
    right: float
    """Share of the pixels of a common class that the judge predicts right."""


CODECS = {
    "AVIF": About("reference", 23.2, 0.52, 0.70),
    "PlainGAN": About("model", 22.4, 0.31, 0.80),
    "RateDistortion": About("model", 23.1, 0.45, 0.78),
    "SemanticDiscriminatorGAN": About("model", 22.5, 0.30, 0.805),
    "SemanticDistortionGAN": About("model", 22.3, 0.32, 0.83),
    "WebP": About("reference", 22.3, 0.56, 0.66),
}


def street_results(images: int = 20, seed: int = 0) -> Results:
    """The whole comparison, with a FID of each point, times of three images and provenance."""
    rng = np.random.default_rng(seed)
    easy = rng.normal(0, 1, images)
    truths = [rng.multinomial(HEIGHT * WIDTH, rng.dirichlet(SHARES * 20)) for _ in range(images)]
    rows = [_original(rng, image, truth) for image, truth in enumerate(truths)]
    for codec, about in CODECS.items():
        for step in range(4):
            rows += [_coded(rng, codec, about, step, image, easy[image], truths[image]) for image in range(images)]
    return Results(table(rows), _provenance(), _fid())


def lose(results: Results, codec: str, point: str, *images: str, status: str = "failed") -> Results:
    """The results where images of a point have no file."""
    here = (pl.col("codec") == codec) & (pl.col("point") == point) & pl.col("image").is_in(images)
    lost = [name for name in results.rows.columns if name.startswith(("bytes", "bpp", "confusion"))]
    said: dict[str, str | None] = dict.fromkeys([*lost, *metric_names(results.rows)])
    said |= {"status": status, "error": "no memory"}
    changes = {name: pl.when(here).then(pl.lit(value)).otherwise(name) for name, value in said.items()}
    return replace(results, rows=results.rows.with_columns(**changes))


def point(kind: str, step: int) -> str:
    """The name of an operating point, 0..3 by rising rate."""
    return f"best at {TARGETS[step]:g}" if kind == "reference" else f"d4C{2 ** (step + 1)}"


def confusion(rng: np.random.Generator, truth: NDArray[np.int64], right: float) -> list[int]:
    """Counts (K * K) of a judge that predicts a share of each class right, and large classes more often."""
    chances = np.tile(SHARES, (len(CLASSES), 1))
    np.fill_diagonal(chances, 0)
    share = np.clip(right * (0.3 + 0.7 * (1 - np.exp(-SHARES * 20))) + rng.normal(0, 0.03, len(CLASSES)), 0.02, 0.98)
    chances *= ((1 - share) / chances.sum(axis=1))[:, None]
    np.fill_diagonal(chances, share)
    return [int(count) for count in rng.multinomial(truth, chances).ravel()]


def _coded(
    rng: np.random.Generator, codec: str, about: About, step: int, image: int, easy: float, truth: NDArray[np.int64]
) -> dict[str, Any]:
    searched = about.kind == "reference"
    mean = TARGETS[step] if searched else (0.028, 0.039, 0.058, 0.093)[step]
    spread = 1 - abs(rng.normal(0, 0.01)) if searched else np.exp(-0.12 * easy + rng.normal(0, 0.04))
    total = int(mean * spread * HEIGHT * WIDTH / 8)
    octaves = np.log2(TARGETS[step] / 0.06)
    right = about.right + 0.06 * octaves + rng.normal(0, 0.02)
    timed = image < 3
    return {
        "codec": codec,
        "point": point(about.kind, step),
        "kind": about.kind,
        "target": TARGETS[step] if searched else None,
        "image": f"street_{image:03d}",
        "status": "ok",
        "height": HEIGHT,
        "width": WIDTH,
        "bytes": total,
        **({} if searched else {"bytes_header": 16, "bytes_latent": total - 16}),
        "bpp": 8 * total / (HEIGHT * WIDTH),
        "psnr": about.psnr + 1.3 * octaves + 1.8 * easy + rng.normal(0, 0.25),
        "ms_ssim_4": float(
            np.clip(0.83 + 0.02 * (about.psnr - 22.4) + 0.05 * octaves + 0.02 * easy + rng.normal(0, 0.005), 0, 1)
        ),
        "lpips": about.lpips - 0.06 * octaves - 0.02 * easy + rng.normal(0, 0.01),
        "accuracy": float(np.clip(right + rng.normal(0, 0.01), 0, 1)),
        "latent_iou": None if searched else 0.6 + rng.normal(0, 0.03),
        "confusion": confusion(rng, truth, right),
        "confusion_agreement": confusion(rng, truth, right + 0.05),
        "encode_seconds": (0.2 if searched else 0.05) * rng.uniform(0.9, 1.1) if timed else None,
        "decode_seconds": 0.03 * rng.uniform(0.9, 1.1) if timed else None,
        "peak_memory": 900_000_000 + image if timed else None,
    }


def _original(rng: np.random.Generator, image: int, truth: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "codec": "original",
        "point": "uncompressed",
        "kind": "original",
        "image": f"street_{image:03d}",
        "status": "ok",
        "height": HEIGHT,
        "width": WIDTH,
        "bytes": HEIGHT * WIDTH * 3,
        "bpp": 24.0,
        "psnr": float("inf"),
        "ms_ssim_4": 1.0,
        "lpips": 0.0,
        "accuracy": 0.93,
        "confusion": confusion(rng, truth, 0.96),
        "confusion_agreement": [int(count) for count in np.diag(truth).ravel()],
    }


def _fid() -> dict[str, dict[str, dict[str, float]]]:
    return {
        codec: {point(about.kind, step): {"fid": 150 * about.lpips - 12 * step} for step in range(4)}
        for codec, about in CODECS.items()
    }


def _provenance() -> dict[str, Any]:
    return {
        "versions": {"semcomp_pl": "0.1.0", "torch": "2.14.1"},
        "seeds": {"bootstrap": 0},
        "checkpoints": {codec: f"{i:06x}" for i, (codec, about) in enumerate(CODECS.items()) if about.kind == "model"},
        "data": {"name": "streets", "split": "val", "fingerprint": "0123456789abcdef"},
        "judge": {"fingerprint": "a1b2c3", "architecture": "FPN", "input_size": [240, 480]},
        "classes": CLASSES,
        "command": "semcomp compare --config configs/compare/streets.yaml",
    }

"""Any codec over a list of batches: the metrics of the suite, and a strip of pictures."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from semcomp_pl.codecs.search import best_at
from semcomp_pl.codecs.webp import WebP
from semcomp_pl.coding.image_file import by_name
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.psnr import psnr
from semcomp_pl.metrics.suite import MetricSuite, is_detail
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.plots import Strip
from semcomp_pl.types import Batch

Coder = Callable[[Batch], tuple[Tensor, dict[str, list[float]]]]
"""A batch to reconstructions (B, 3, H, W) and the bits per pixel of each image, by name of the rate."""


class Row(NamedTuple):
    """One codec: `codec`, its metrics, `seconds` an image for coding and decoding, and a strip of pictures."""

    values: dict[str, str | float]
    strip: Strip


def model_coder(model: CodecModule) -> Coder:
    """What is decoded from a model's files, and their rates: `bpp` and the fields of `Rates` that explain it."""

    def code(batch: Batch) -> tuple[Tensor, dict[str, list[float]]]:
        reconstruction, rates = model.codec().measure(batch["image"], model.label_for_file(batch))
        return reconstruction, by_name(rates)

    return code


def webp_coder(target: float) -> Coder:
    """Of each image the WebP file with the best PSNR at or below `target` bits per pixel.

    Raises:
        SemcompError: an image has none.
    """

    def code(batch: Batch) -> tuple[Tensor, dict[str, list[float]]]:
        found = []
        for image in batch["image"]:
            file = best_at(image, target, WebP)
            if file is None:
                raise SemcompError(f"no WebP file at or below {target} bpp for an image; raise the target")
            found.append(file)
        return torch.stack([file.reconstruction for file in found]), {"bpp": [file.bpp for file in found]}

    return code


def original_coder(batch: Batch) -> tuple[Tensor, dict[str, list[float]]]:
    """The originals themselves, 24 bits a pixel: the judge's ceiling."""
    return batch["image"], {"bpp": [24.0] * len(batch["image"])}


def measure(title: str, code: Coder, batches: Sequence[Batch], judge: Segmentation | None, pictures: int = 3) -> Row:
    """Run a codec over every batch; the first `pictures` images of the first batch make the strip."""
    suite = MetricSuite(None if judge is None else judge.num_classes, judge)
    seconds, images = 0.0, 0
    strip: Strip | None = None
    for batch in batches:
        start = time.perf_counter()
        reconstruction, rates = code(batch)
        seconds += time.perf_counter() - start
        images += len(reconstruction)
        bpp = {name: torch.tensor(values) for name, values in rates.items()}
        suite.update(reconstruction, batch["image"], bpp=bpp, label=batch.get("label"))
        if strip is None:
            quality = psnr(reconstruction[:pictures], batch["image"][:pictures])
            captions = [f"{b:.3f} bpp, {q:.1f} dB" for b, q in zip(rates["bpp"], quality, strict=False)]
            strip = Strip(title, reconstruction[:pictures], captions)
    if strip is None:
        raise SemcompError(f"{title}: no image to measure; check the data")
    metrics = {name: float(value) for name, value in suite.compute().items() if not is_detail(name)}
    return Row({"codec": title, **metrics, "seconds": seconds / images}, strip)


def measure_model(title: str, model: CodecModule, batches: Sequence[Batch], judge: Segmentation | None) -> Row:
    """`measure` of a model, without mIoU where the judge had a part in its training or its label maps."""
    allowed = None if judge is None or judge.fingerprint() in model.rivals() else judge
    return measure(title, model_coder(model), batches, allowed)

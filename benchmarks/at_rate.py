r"""Models beside WebP at the same rate, over the validation split of any data: a Markdown table and a picture.

    python benchmarks/at_rate.py --config configs/data/camvid.yaml --data.source.root data/camvid \\
        --models weights/rate_distortion weights/plain_gan --bpp 0.0726 --judge weights/pspnet

Models are measured by their files, as WebP is; without labels or judge there is no mIoU.
"""

import platform
from pathlib import Path

import PIL
import torch
from jsonargparse import ArgumentParser

from semcomp_pl.data import ImageDataModule
from semcomp_pl.measure import Row, measure, measure_model, original_coder, webp_coder
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.modules.conditional import ConditionalGAN
from semcomp_pl.modules.loading import load
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.plots import Strip, draw_reconstructions
from semcomp_pl.types import Batch


def main() -> None:
    """Parse, measure, print."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--models", type=str, nargs="*", default=[], help="checkpoints or exports")
    parser.add_argument("--bpp", type=float, nargs="*", default=[], help="rates at which WebP is searched")
    parser.add_argument("--judge", type=str | None, default=None, help="segmenter for mIoU")
    parser.add_argument("--pictures", type=str | None, default=None, help="PNG to draw")
    config = parser.parse_args()
    data = parser.instantiate(config).data
    data.setup("validate")
    batches: list[Batch] = list(data.val_dataloader())
    judge = None if config.judge is None else Segmentation.from_file(config.judge)
    rows = [measure("original", original_coder, batches, judge)] if judge is not None else []
    rows += [row for path in config.models for row in _model_rows(path, batches, judge)]
    rows += [measure(f"WebP <= {rate:.4f}", webp_coder(rate), batches, judge) for rate in config.bpp]
    _print(rows, len(data.stores["val"]))
    if config.pictures:
        original = Strip("Original", batches[0]["image"][:3], [""] * 3)
        draw_reconstructions([original, *(r.strip for r in rows if r.strip.title != "original")], Path(config.pictures))


def _model_rows(path: str, batches: list[Batch], judge: Segmentation | None) -> list[Row]:
    """A model's row; a conditional model's without labels from the judge's reading is left to its own command."""
    model = load(path)
    assert isinstance(model, CodecModule), f"{path}: not a codec"
    name = type(model).__name__
    if isinstance(model, ConditionalGAN):
        if "label" not in batches[0]:
            return []
        name += " (oracle)"
    return [measure_model(name, model, batches, judge)]


def _print(rows: list[Row], images: int) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    print(f"{images} images; {platform.machine()}, torch {torch.__version__}, Pillow {PIL.__version__}")
    print("| " + " | ".join(names) + " |")
    print("|" + " --- |" * len(names))
    for row in rows:
        cells = [row.values.get(name, "") for name in names]
        print("| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.4f}" for cell in cells) + " |")


if __name__ == "__main__":
    main()

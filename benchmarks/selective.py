r"""SelectiveGAN with everything, chosen classes or nothing coded: a Markdown table and a picture.

    python benchmarks/selective.py --config configs/data/camvid.yaml --data.source.root data/camvid \\
        --model weights/selective_gan --segmenter weights/pspnet --judge weights/deeplabv3plus \\
        --keep car,pedestrian,bicyclist --pictures selective.jpg

Label maps come from the segmenter. PSNR, and the judge's IoU against ground truth, are measured inside the chosen
region (by the segmenter's map) and outside it; without labels in the data the table has only rates.
"""

import platform
from pathlib import Path
from typing import NamedTuple

import torch
from jsonargparse import ArgumentParser
from tables import table
from torch import Tensor

import semcomp_pl
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding.container import Kind, parse
from semcomp_pl.compare.report.sheet import Strip, draw_reconstructions
from semcomp_pl.data import ImageDataModule
from semcomp_pl.metrics.miou import class_iou, confusion
from semcomp_pl.nets.segmenter import Segmenter
from semcomp_pl.types import IGNORE, Batch

SECTIONS = (Kind.HEATMAP, Kind.LABELS, Kind.LATENT)


class Outcome(NamedTuple):
    """A batch of images coded in one way."""

    reconstruction: Tensor
    files: list[bytes]
    inside: Tensor
    """Region of the classes in `--keep`, whatever was coded, bool (B, H, W)."""


def main() -> None:
    """Measure, print the table and draw the picture."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--model", type=str, required=True, help="checkpoint or export of a SelectiveGAN")
    parser.add_argument("--segmenter", type=str, required=True, help="segmenter for the label maps")
    parser.add_argument("--judge", type=str | None, default=None, help="another segmenter, for IoU")
    parser.add_argument("--keep", type=str, required=True, help="classes to code, by name or id")
    parser.add_argument("--pictures", type=str | None, default=None, help="PNG file to draw")
    parser.add_argument("--columns", type=list[int], default=[0, 1, 2], help="indices of the images to draw")
    config = parser.parse_args()
    data = parser.instantiate(config).data
    data.setup("validate")
    codec = semcomp_pl.load(config.model, config.segmenter)
    judge = None if config.judge is None else semcomp_pl.load_segmenter(config.judge)
    batches: list[Batch] = list(data.val_dataloader())
    kept = config.keep.split(",")
    ways = {"everything": None, config.keep.replace(",", ", "): kept, "nothing": []}
    outcomes = {title: [_code(codec, batch, kept, way) for batch in batches] for title, way in ways.items()}
    print(f"{len(data.stores['val'])} images; {platform.machine()}, torch {torch.__version__}")
    print(table([{"coded": title, **_cells(codec, judge, batches, found)} for title, found in outcomes.items()]))
    if "label" in batches[0] and judge is not None:
        names = codec.net.shape.class_names or [str(i) for i in range(codec.num_classes)]
        for title, found in outcomes.items():
            parts = zip(("inside", "outside"), _iou(codec, judge, batches, found), strict=True)
            print(f"{title}: IoU a class, inside and outside the region\n")
            print(table([{"": part} | dict(zip(names, _numbers(iou), strict=True)) for part, iou in parts]))
    if config.pictures:
        _draw(batches, outcomes, config.columns, Path(config.pictures))


def _code(codec: NeuralCodec, batch: Batch, classes: list[str], way: list[str] | None) -> Outcome:
    image = batch["image"]
    label = codec.side_label(image, None)
    assert label is not None
    keep = None if way is None else codec.region(label, keep=way)
    files = codec.compress_batch(image, label, keep)
    return Outcome(torch.stack(codec.decompress_batch(files)), files, codec.region(label, keep=classes))


def _cells(
    codec: NeuralCodec, judge: Segmenter | None, batches: list[Batch], outcomes: list[Outcome]
) -> dict[str, str]:
    files = [file for outcome in outcomes for file in outcome.files]
    pixels = batches[0]["image"][0, 0].numel()
    sections = [{section.kind: len(section.data) for section in parse(file).sections} for file in files]
    cells = {"bpp": f"{8 * sum(map(len, files)) / len(files) / pixels:.4f}"}
    for kind in SECTIONS:
        cells[f"{kind.name.lower()}, bytes"] = f"{sum(found.get(kind, 0) for found in sections) / len(files):.1f}"
    if "label" not in batches[0] or judge is None:
        return cells
    error = torch.cat(
        [(o.reconstruction - b["image"]).square().mean(1) for o, b in zip(outcomes, batches, strict=True)]
    )
    inside = torch.cat([outcome.inside for outcome in outcomes])
    for name, part in (("PSNR in, dB", inside), ("PSNR out, dB", ~inside)):
        cells[name] = f"{-10 * error[part].double().mean().log10():.2f}"
    for name, iou in zip(("IoU in", "IoU out"), _iou(codec, judge, batches, outcomes), strict=True):
        cells[name] = f"{iou.nanmean():.3f}"
    return cells


def _iou(
    codec: NeuralCodec, judge: Segmenter | None, batches: list[Batch], outcomes: list[Outcome]
) -> tuple[Tensor, Tensor]:
    """IoU of each class (K,) inside the region and outside it, over all images."""
    assert judge is not None
    counts = torch.zeros(2, codec.num_classes, codec.num_classes, dtype=torch.long)
    for batch, outcome in zip(batches, outcomes, strict=True):
        seen = judge.predict(outcome.reconstruction)
        for place, part in enumerate((outcome.inside, ~outcome.inside)):
            counts[place] += confusion(seen, batch["label"].where(part, IGNORE), codec.num_classes)
    return class_iou(counts[0]), class_iou(counts[1])


def _numbers(values: Tensor) -> list[str]:
    return ["" if value.isnan() else f"{value:.3f}" for value in values]


def _draw(batches: list[Batch], outcomes: dict[str, list[Outcome]], columns: list[int], file: Path) -> None:
    """Draw the originals with the region highlighted, then one row per way of coding."""
    image = torch.cat([batch["image"] for batch in batches])[columns]
    inside = torch.cat([outcome.inside for outcome in next(iter(outcomes.values()))])[columns]
    lit = image * (0.45 + 0.55 * inside[:, None])
    strips = [Strip("original, the region lit", lit, [""] * len(columns))]
    for title, found in outcomes.items():
        files = [data for outcome in found for data in outcome.files]
        captions = [f"{8 * len(files[i]) / image[0, 0].numel():.3f} bpp" for i in columns]
        strips.append(Strip(f"{title} coded", torch.cat([o.reconstruction for o in found])[columns], captions))
    draw_reconstructions(strips).savefig(file)


if __name__ == "__main__":
    main()

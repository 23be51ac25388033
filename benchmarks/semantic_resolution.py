r"""Sizes at which SemanticDistortionGAN's segmenter S may read images: a Markdown table of what they cost and change.

    python benchmarks/semantic_resolution.py --config configs/data/camvid.yaml --data.source.root data/camvid \
        --segmenter weights/pspnet --models '[weights/plain_gan,weights/semantic_distortion_gan]'

For each `segmenter_scale`, over validation images and their reconstructions: the mIoU of S; the cosine between the
gradient of the divergence with respect to a reconstruction and the same gradient at full scale, mean over images; and
the seconds for the divergence of a batch and its gradient, and for a whole step: processor time of this process, which
other work on the machine disturbs less than the clock's. Scales take turns; times are medians.
"""

import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jsonargparse import ArgumentParser
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

import semcomp_pl
from semcomp_pl.data import ImageDataModule
from semcomp_pl.losses import semantic_divergence
from semcomp_pl.metrics.miou import class_iou, confusion
from semcomp_pl.modules import PlainGAN, SemanticDistortionGAN
from semcomp_pl.nets.segmenter import Segmenter
from semcomp_pl.types import Batch


class Clock(Callback):
    """Times steps, the first ones excepted, while scales take turns."""

    def __init__(self, scales: list[float]) -> None:
        """Take the values of `segmenter_scale`."""
        self.scales = scales
        self.seconds: dict[float, list[float]] = {scale: [] for scale in scales}

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Set the scale."""
        pl_module.segmenter_scale = self.scales[batch_idx % len(self.scales)]
        self.start = time.process_time()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time."""
        if batch_idx >= len(self.scales):
            self.seconds[self.scales[batch_idx % len(self.scales)]].append(time.process_time() - self.start)


def main() -> None:
    """Measure and print the table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ImageDataModule, "data")
    parser.add_argument("--segmenter", type=str, required=True, help="segmenter S")
    parser.add_argument("--models", type=list[str], required=True, help="codecs without label maps that reconstruct")
    parser.add_argument("--scales", type=list[float], default=[0.5, 0.6, 0.75, 0.8, 1.0], help="the last one is full")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each scale")
    config = parser.parse_args()
    data, scales = parser.instantiate(config).data, config.scales
    data.setup("validate")
    batches: list[Batch] = list(data.val_dataloader())
    segmenter = semcomp_pl.load_segmenter(config.segmenter)
    columns: dict[str, dict[float, str]] = {
        "S reads": {scale: _size(segmenter, batches[0]["image"], scale) for scale in scales},
        "mIoU of originals": _miou(segmenter, batches, [batch["image"] for batch in batches], scales),
    }
    for model in config.models:
        seen = _reconstruct(model, batches)
        columns[f"of {Path(model).name}"] = _miou(segmenter, batches, seen, scales)
        columns[f"cosine at {Path(model).name}"] = _cosines(segmenter, batches, seen, scales)
    columns["divergence, s"] = _divergence_seconds(segmenter, batches[0]["image"], seen[0], scales, config.steps)
    shape: dict[str, Any] = {"discriminator_filters": 32, "num_classes": data.num_classes, "schedule": "constant"}
    own = SemanticDistortionGAN(**shape, segmenter=config.segmenter, class_names=[*data.classes])
    columns["step, s"] = _step_seconds(own, data, scales, config.steps)
    plain = _step_seconds(PlainGAN(**shape), data, [1.0], config.steps)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, batches of", end=" ")
    print(f"{data.batch_size}; a step of PlainGAN takes {plain[1.0]} s\n")
    print("| " + " | ".join(["scale", *columns]) + " |")
    print("|" + " --- |" * (len(columns) + 1))
    for scale in scales:
        print("| " + " | ".join([f"{scale:g}", *(column[scale] for column in columns.values())]) + " |")


def _size(segmenter: Segmenter, image: Tensor, scale: float) -> str:
    height, width = segmenter.fit_size(image, scale).shape[-2:]
    return f"{width}x{height}"


@torch.no_grad()
def _reconstruct(model: str, batches: list[Batch]) -> list[Tensor]:
    net = semcomp_pl.load(model).net
    return [net(batch["image"]).reconstruction for batch in batches]


@torch.no_grad()
def _miou(segmenter: Segmenter, batches: list[Batch], images: list[Tensor], scales: list[float]) -> dict[float, str]:
    """The mIoU of what S sees in images, against the batches' labels."""
    found = {}
    for scale in scales:
        pairs = zip(images, batches, strict=True)
        counts = [
            confusion(segmenter.logits(image, scale).argmax(1), batch["label"], segmenter.num_classes)
            for image, batch in pairs
        ]
        found[scale] = f"{class_iou(torch.stack(counts).sum(0)).nanmean():.3f}"
    return found


def _gradient(segmenter: Segmenter, image: Tensor, reconstruction: Tensor, scale: float) -> Tensor:
    """Gradient of the divergence with respect to reconstructions, (B, 3 H W)."""
    seen = reconstruction.clone().requires_grad_()
    with torch.no_grad():
        reference = segmenter.logits(image, scale)
    (gradient,) = torch.autograd.grad(semantic_divergence(segmenter.logits(seen, scale), reference), seen)
    return gradient.flatten(1)


def _cosines(segmenter: Segmenter, batches: list[Batch], seen: list[Tensor], scales: list[float]) -> dict[float, str]:
    found: dict[float, list[Tensor]] = {scale: [] for scale in scales}
    for batch, reconstruction in zip(batches, seen, strict=True):
        gradients = {scale: _gradient(segmenter, batch["image"], reconstruction, scale) for scale in scales}
        for scale in scales:
            found[scale].append(F.cosine_similarity(gradients[scale], gradients[scales[-1]]))
    return {scale: f"{torch.cat(values).mean():.2f}" for scale, values in found.items()}


def _divergence_seconds(
    segmenter: Segmenter, image: Tensor, reconstruction: Tensor, scales: list[float], repeats: int
) -> dict[float, str]:
    found: dict[float, list[float]] = {scale: [] for scale in scales}
    for _ in range(repeats):
        for scale in scales:
            start = time.process_time()
            _gradient(segmenter, image, reconstruction, scale)
            found[scale].append(time.process_time() - start)
    return _medians(found)


def _step_seconds(model: LightningModule, data: ImageDataModule, scales: list[float], steps: int) -> dict[float, str]:
    clock = Clock(scales)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=(steps + 1) * len(scales),
        limit_val_batches=0,
        enable_checkpointing=False,
        callbacks=[clock],
        **quiet,  # type: ignore[arg-type]
    )
    trainer.fit(model, datamodule=data, weights_only=True)
    return _medians(clock.seconds)


def _medians(seconds: dict[float, list[float]]) -> dict[float, str]:
    return {scale: f"{statistics.median(values):.2f}" for scale, values in seconds.items()}


if __name__ == "__main__":
    main()

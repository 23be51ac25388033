"""A segmenter: label maps from images, to condition codecs on and to judge them by."""

import hashlib
import math

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW

from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.miou import MeanIoU
from semcomp_pl.modules.checkpoint import read_saved, rebuild
from semcomp_pl.modules.learning import Schedule, ScheduledModule
from semcomp_pl.nets.segmenter import fill_encoder, make_segmenter
from semcomp_pl.types import IGNORE, Batch

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Segmentation(ScheduledModule):
    """min S: cross-entropy(S(x), s), over pixels whose label is not ignored.

    Args:
        architecture: Any of segmentation_models_pytorch; Zhao et al., https://arxiv.org/abs/1612.01105, by default.
        encoder: Name of smp's encoder.
        encoder_depth: Stages of the encoder; smp's PSPNet uses three unless told.
        encoder_weights: `imagenet`, a local state dict, or none; read when fitting only.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        schedule: Of the learning rate, over `max_epochs`.
        gradient_clip: Largest gradient norm of a step; 0 for no clipping.
        num_classes: Classes K; the data module sets it.

    Raises:
        SemcompError: unknown architecture or encoder, weights that are not there, data without labels.
    """

    mean: Tensor
    std: Tensor
    input_size: Tensor

    def __init__(
        self,
        architecture: str = "pspnet",
        encoder: str = "tu-tf_efficientnet_lite0",
        encoder_depth: int | None = 4,
        encoder_weights: str | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        schedule: Schedule = "poly",
        gradient_clip: float = 1.0,
        num_classes: int = 19,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if num_classes < 2:
            raise SemcompError(f"{num_classes} classes found, expected at least 2; choose data with label maps")
        self.num_classes = num_classes
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.schedule, self.gradient_clip = schedule, gradient_clip
        self.encoder, self.encoder_weights = encoder, encoder_weights
        self.net = make_segmenter(architecture, encoder, encoder_depth, num_classes)
        self.iou = MeanIoU(num_classes)
        self.register_buffer("mean", torch.tensor(IMAGENET[0]))
        self.register_buffer("std", torch.tensor(IMAGENET[1]))
        self.register_buffer("input_size", torch.zeros(2, dtype=torch.long))
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_file(cls, path: str) -> "Segmentation":
        """A frozen segmenter in evaluation mode from its checkpoint or export.

        Raises:
            SemcompError: unreadable file, or not a segmenter.
        """
        saved = read_saved(path)
        if saved.model != cls.__name__:
            raise SemcompError(f"{path}: a {saved.model} found, expected a Segmentation checkpoint")
        return rebuild(cls, saved, path).requires_grad_(False)

    def fingerprint(self) -> bytes:
        """Eight bytes that name these weights, equal for a checkpoint and its half-precision export."""
        digest = hashlib.sha256()
        for value in self.net.state_dict().values():
            digest.update(value.detach().cpu().half().numpy().tobytes())
        return digest.digest()[:8]

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] to logits (B, K, H, W)."""
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 32, 0, -height % 32), "replicate")
        normalised = (padded - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)
        logits: Tensor = self.net(normalised.contiguous(memory_format=torch.channels_last))
        if logits.shape[-2:] != padded.shape[-2:]:  # smp's PSPNet enlarges by 8 whatever its depth
            logits = F.interpolate(logits, padded.shape[-2:], mode="bilinear")
        return logits[..., :height, :width]

    def read(self, image: Tensor) -> Tensor:
        """Logits (B, K, H, W), the image enlarged to the size that the segmenter was trained at where it is smaller."""
        height, width = image.shape[-2:]
        scale = math.sqrt(int(self.input_size.prod()) / (height * width))
        if scale <= 1:
            return self.forward(image)
        size = [round(height * scale), round(width * scale)]
        enlarged = F.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)
        return F.interpolate(self.forward(enlarged).float(), (height, width), mode="bilinear", antialias=True)

    def predict(self, image: Tensor) -> Tensor:
        """Label map (B, H, W) of an image (B, 3, H, W) in [0, 1], always in float32."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            label: Tensor = self.read(image.float()).argmax(1)
        return label

    def setup(self, stage: str) -> None:
        """Remember the size that the segmenter is trained at, and fill its encoder."""
        if stage == "fit":
            self.input_size.copy_(torch.tensor(self.trainer.datamodule.size))  # type: ignore[attr-defined]
            if self.encoder_weights is not None:
                fill_encoder(self.net, self.encoder, self.encoder_weights)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step on the cross-entropy."""
        label = batch["label"]
        total = F.cross_entropy(self(batch["image"]).float(), label, ignore_index=IGNORE, reduction="sum")
        loss: Tensor = total / (label != IGNORE).sum().clamp(min=1)  # a crop may hold ignored pixels only
        self.log_losses({"cross_entropy": loss})
        return loss

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW on everything."""
        return AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the confusion matrix."""
        self.iou.update(self.predict(batch["image"]), batch["label"])

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Log `val/miou`."""
        self._log_iou("val")

    def on_test_epoch_end(self) -> None:
        """Log `test/miou`."""
        self._log_iou("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Label maps (B, H, W)."""
        return self.predict(batch["image"])

    def _log_iou(self, split: str) -> None:
        self.log(f"{split}/miou", self.iou.compute(), prog_bar=True)
        self.iou.reset()

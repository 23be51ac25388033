"""A segmenter: label maps from images, to condition codecs on and to judge them by."""

import hashlib
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW

from semcomp_pl.errors import SemcompError
from semcomp_pl.losses import semantic_cross_entropy
from semcomp_pl.metrics.judgement import class_scores
from semcomp_pl.metrics.miou import MeanIoU
from semcomp_pl.checkpoints.checkpoint import read_saved, rebuild
from semcomp_pl.modules.learning import Schedule, ScheduledModule
from semcomp_pl.nets.segmenter import AuxiliaryHead, fill_encoder, make_segmenter
from semcomp_pl.types import Batch

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Segmentation(ScheduledModule):
    """min S: cross-entropy(S(x), s) + a cross-entropy(A(x), s), over pixels whose label is not ignored.

        x --encoder--> features --decoder, head--> S(x)
                           +------auxiliary head-> A(x), in training only

    Args:
        architecture: Any of segmentation_models_pytorch; Zhao et al., https://arxiv.org/abs/1612.01105, by default.
        encoder: Name of smp's encoder.
        encoder_depth: Stages of the encoder; smp's PSPNet uses three unless told.
        output_stride: Pixels of the image a step of the encoder's last features, where the encoder can be told.
        auxiliary_weight: a, of the cross-entropy from the encoder's last stage but one; 0 for none.
        class_weights: Of the cross-entropy: `uniform`, or `inverse_log`, 1 / ln(1.02 + share of the class in the
            training split), of Paszke et al., https://arxiv.org/abs/1606.02147.
        encoder_weights: `imagenet`, a local state dict, or none; read when fitting only.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        schedule: Of the learning rate, over `max_epochs`.
        gradient_clip: Largest gradient norm of a step; 0 for no clipping.
        num_classes: Classes K; the data module sets it.
        class_names: Their names; the data module sets them.

    Raises:
        SemcompError: unknown architecture or encoder, weights that are not there, data without labels.
    """

    mean: Tensor
    std: Tensor
    input_size: Tensor
    class_weight: Tensor

    def __init__(
        self,
        architecture: str = "pspnet",
        encoder: str = "tu-tf_efficientnet_lite0",
        encoder_depth: int | None = 4,
        output_stride: int | None = None,
        encoder_weights: str | None = None,
        auxiliary_weight: float = 0.4,
        class_weights: Literal["uniform", "inverse_log"] = "uniform",
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        schedule: Schedule = "poly",
        gradient_clip: float = 1.0,
        num_classes: int = 19,
        class_names: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if num_classes < 2:
            raise SemcompError(f"{num_classes} classes found, expected at least 2; choose data with label maps")
        self.num_classes, self.class_names = num_classes, class_names
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.schedule, self.gradient_clip = schedule, gradient_clip
        self.encoder, self.encoder_weights = encoder, encoder_weights
        net: Any = make_segmenter(architecture, encoder, encoder_depth, output_stride, num_classes)
        self.net = net
        self.auxiliary_weight, self.class_weights = auxiliary_weight, class_weights
        self.auxiliary = AuxiliaryHead(net.encoder.out_channels[-2], num_classes) if auxiliary_weight else None
        self.class_weight = torch.ones(num_classes)
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

    def provenance(self) -> dict[str, Any]:
        """What a figure that this segmenter judged must name; plain values.

        Images smaller than `input_size` (height, width; null where it was never trained) are enlarged into it.
        """
        architecture, encoder = (self.hparams[name] for name in ("architecture", "encoder"))
        return {
            "fingerprint": self.fingerprint().hex(),
            "architecture": architecture,
            "encoder": encoder,
            "num_classes": self.num_classes,
            "input_size": self.input_size.tolist() if self.input_size.any() else None,
            "channels": "RGB",
            "mean": [round(value, 6) for value in self.mean.tolist()],
            "std": [round(value, 6) for value in self.std.tolist()],
        }

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] to logits (B, K, H, W)."""
        return self._enlarge(self.net.segmentation_head(self.net.decoder(self.features(image))), image)

    def features(self, image: Tensor) -> list[Tensor]:
        """The encoder's features of an image (B, 3, H, W) in [0, 1], finest first, each (B, C, H/s, W/s)."""
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 32, 0, -height % 32), "replicate")
        normalised = (padded - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)
        features: list[Tensor] = self.net.encoder(normalised.contiguous(memory_format=torch.channels_last))
        return features

    def _enlarge(self, logits: Tensor, image: Tensor) -> Tensor:
        """Logits of a padded image, at any stride, to the image's size."""
        height, width = image.shape[-2:]
        padded = (height + -height % 32, width + -width % 32)
        if logits.shape[-2:] != padded:
            logits = F.interpolate(logits.float(), padded, mode="bilinear")
        return logits[..., :height, :width]

    def fit_size(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) enlarged into the size that the segmenter was trained at, where they are smaller."""
        height, width = image.shape[-2:]
        scale = min(int(self.input_size[0]) / height, int(self.input_size[1]) / width)
        if scale <= 1:
            return image
        size = [round(height * scale), round(width * scale)]
        return F.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)

    def read(self, image: Tensor) -> Tensor:
        """Logits (B, K, H, W), the image enlarged by `fit_size`."""
        enlarged = self.fit_size(image)
        logits = self.forward(enlarged)
        if enlarged is image:
            return logits
        return F.interpolate(logits.float(), image.shape[-2:], mode="bilinear", antialias=True)

    def stages(self, image: Tensor) -> list[Tensor]:
        """The encoder's features of an image enlarged by `fit_size`, without the image itself."""
        return self.features(self.fit_size(image))[1:]

    def predict(self, image: Tensor) -> Tensor:
        """Label map (B, H, W) of an image (B, 3, H, W) in [0, 1], always in float32."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            label: Tensor = self.read(image.float()).argmax(1)
        return label

    def setup(self, stage: str) -> None:
        """Remember the size that the segmenter is trained at, weigh the classes, and fill the encoder."""
        if stage == "fit":
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self.input_size.copy_(torch.tensor(data.size or data.crop_size))
            if self.class_weights == "inverse_log":
                shares = torch.tensor(data.class_shares(), dtype=torch.float32)
                self.class_weight = 1 / torch.log(1.02 + F.pad(shares, (0, self.num_classes - len(shares))))
            if self.encoder_weights is not None:
                fill_encoder(self.net, self.encoder, self.encoder_weights)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step on the cross-entropies."""
        image, label = batch["image"], batch["label"]
        features = self.features(image)
        logits = self.net.segmentation_head(self.net.decoder(features))
        terms = {"cross_entropy": semantic_cross_entropy(self._enlarge(logits, image), label, self.class_weight)}
        if self.auxiliary is not None:
            logits = self._enlarge(self.auxiliary(features[-2]), image)
            terms["auxiliary"] = self.auxiliary_weight * semantic_cross_entropy(logits, label, self.class_weight)
        self.log_losses(terms)
        return torch.stack([*terms.values()]).sum()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW on everything."""
        return AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the confusion matrix."""
        self.iou.update(self.predict(batch["image"]), batch["label"])

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Log `val/miou`, and accuracy and IoU of each class."""
        self._log_iou("val")

    def on_test_epoch_end(self) -> None:
        """Log `test/miou`, and accuracy and IoU of each class."""
        self._log_iou("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Label maps (B, H, W)."""
        return self.predict(batch["image"])

    def _log_iou(self, split: str) -> None:
        for name, value in class_scores(self.iou.counts(), self.class_names or ()).items():
            self.log(f"{split}/{name}", value, prog_bar=name == "miou")
        self.iou.reset()

"""Segmentation: trains segmenters, whose label maps condition codecs or judge them."""

import copy
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW

from semcomp_pl.checkpoints.loading import load_segmenter
from semcomp_pl.errors import SemcompError
from semcomp_pl.losses import semantic_cross_entropy
from semcomp_pl.metrics import MeanIoU
from semcomp_pl.metrics.judgement import class_scores
from semcomp_pl.metrics.miou import image_confusions
from semcomp_pl.metrics.part_mean import PartMean
from semcomp_pl.modules.learning import Schedule, ScheduledModule
from semcomp_pl.nets.segmenter import AuxiliaryHead, Segmenter, fill_encoder, pretrained_encoder
from semcomp_pl.types import Batch


class Segmentation(ScheduledModule):
    """min S: cross-entropy(S(x), s) + a cross-entropy(A(x), s), over pixels whose label is not ignored.

        x --encoder--> features --decoder, head--> S(x)
                           +------auxiliary head-> A(x), in training only

    Args:
        architecture: Name of an architecture of segmentation_models_pytorch (smp); the default is PSPNet,
            https://arxiv.org/abs/1612.01105.
        encoder: Name of one of smp's encoders.
        encoder_depth: Number of the encoder's stages; smp's default if not given, which is 3 for PSPNet.
        output_stride: Stride of the encoder's last features in pixels, for encoders that allow choosing it.
        auxiliary_weight: Weight a of the cross-entropy from the encoder's last stage but one; 0 for none.
        class_weights: Weights of the classes in the cross-entropy: `uniform`, or `inverse_log`, 1 / ln(1.02 + share in
            the training split), from Paszke et al., https://arxiv.org/abs/1606.02147.
        encoder_weights: `imagenet`, a file with a state dict (.pth), or a trained segmenter (name, run, export or
            checkpoint) with the same encoder; used for fitting only, random weights if not given.
        learning_rate: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        schedule: How the learning rate falls over `max_epochs`.
        gradient_clip: Largest gradient norm of a step; 0 for no clipping.
        accumulate: Number of batches whose gradients are averaged for one step of the optimiser.
        num_classes: Number of classes K; the data module sets it.
        class_names: Names of the classes; the data module sets them.

    Raises:
        SemcompError: unknown architecture or encoder, missing weights, or data without labels.
    """

    part = "segmenter"
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
        accumulate: int = 1,
        num_classes: int = 19,
        class_names: list[str] | None = None,
    ) -> None:
        super().__init__(schedule, gradient_clip, accumulate)
        self.save_hyperparameters()
        self.num_classes, self.class_names = num_classes, class_names
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.encoder, self.encoder_weights = encoder, encoder_weights
        self.segmenter = Segmenter.of(self.hparams)
        self.auxiliary_weight, self.class_weights = auxiliary_weight, class_weights
        self.auxiliary: AuxiliaryHead | None = None
        if auxiliary_weight:
            self.auxiliary = AuxiliaryHead(self.segmenter.net.encoder.out_channels[-2], num_classes)
        self.register_buffer("class_weight", torch.ones(num_classes), persistent=False)
        self.iou = MeanIoU(num_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] to logits (B, K, H, W)."""
        logits: Tensor = self.segmenter(image)
        return logits

    def setup(self, stage: str) -> None:
        """Store the training size in the segmenter, compute the class weights, and load the encoder's weights."""
        self.by_part = PartMean(self.data_parts(), (self.num_classes, self.num_classes)).to(self.device)
        if stage == "fit":
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if data.batch_size == 1:
                self._check_single_images(data.size or data.crop_size)
            self.segmenter.set_input_size(data.size or data.crop_size)
            if self.class_weights == "inverse_log":
                shares = torch.tensor(data.class_shares(), dtype=torch.float32)
                self.class_weight[:] = 1 / torch.log(1.02 + F.pad(shares, (0, self.num_classes - len(shares))))
            if self.encoder_weights is not None:
                fill_encoder(self.segmenter.net, self.encoder, self.encoder_weights, self._pretrained())

    def _pretrained(self) -> dict[str, Any]:
        weights = str(self.encoder_weights)
        if weights == "imagenet" or Path(weights).suffix in {".pth", ".pt"}:
            return pretrained_encoder(self.encoder, weights)
        encoder: nn.Module = load_segmenter(weights).net.encoder
        return encoder.state_dict()

    def _check_single_images(self, size: tuple[int, int]) -> None:
        """Refuse batches of one image if the network normalises pooled features over the batch.

        Raises:
            SemcompError: the network cannot be trained with such batches.
        """
        try:
            copy.deepcopy(self.segmenter).train()(torch.zeros(1, 3, *size, device=self.device))
        except ValueError:  # from BatchNorm: a single value has no variance
            raise SemcompError(
                f"batch_size=1 found, expected 2 or more: {self.segmenter.architecture} normalises features of the "
                "whole image over the batch; set --data.batch_size"
            ) from None

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted cross-entropies."""
        image, label = batch["image"], batch["label"]
        features = self.segmenter.features(image)
        logits = self.segmenter.of_features(features, image)
        terms = {"cross_entropy": semantic_cross_entropy(logits, label, self.class_weight)}
        if self.auxiliary is not None:
            logits = self.segmenter.enlarge(self.auxiliary(features[-2]), image)
            terms["auxiliary"] = self.auxiliary_weight * semantic_cross_entropy(logits, label, self.class_weight)
        return terms

    def networks(self) -> list[nn.Module]:
        """The segmenter's encoder and decoder."""
        return [self.segmenter.net.encoder, self.segmenter.net.decoder]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW for all parameters."""
        return AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the confusion matrix, and to those of the sources of a mixture."""
        prediction, label = self.segmenter.predict(batch["image"]), batch["label"]
        self.iou.update(prediction, label)
        if self.by_part.parts:
            self.by_part.update(batch["name"], image_confusions(prediction, label, self.num_classes))

    test_step = validation_step

    def on_validation_epoch_end(self) -> None:
        """Log `val/miou`, and accuracy and IoU of each class."""
        self._log_iou("val")

    def on_test_epoch_end(self) -> None:
        """Log `test/miou`, and accuracy and IoU of each class."""
        self._log_iou("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Label maps (B, H, W)."""
        return self.segmenter.predict(batch["image"])

    def _log_iou(self, split: str) -> None:
        for name, value in class_scores(self.iou.counts(), self.class_names or ()).items():
            self.log(f"{split}/{name}", value, prog_bar=name == "miou")
        self.iou.reset()
        for part, matrix in (self.by_part.compute() if self.by_part.parts else {}).items():
            self.log_dict({f"{split}/{part}/{k}": v for k, v in class_scores(matrix, self.class_names or ()).items()})
        self.by_part.reset()

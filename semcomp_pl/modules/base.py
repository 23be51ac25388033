"""What all trained codecs share: hyper-parameters, set-up, and how they are measured."""

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from semcomp_pl.checkpoints.checkpoint import saved_of
from semcomp_pl.checkpoints.loading import codec_of, load_discriminator, load_segmenter
from semcomp_pl.checkpoints.models import name_of
from semcomp_pl.checkpoints.warm_start import start_from
from semcomp_pl.codecs.neural import NeuralCodec
from semcomp_pl.coding.content import by_name
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics import Extra, LatentIoU, MetricSuite, is_detail
from semcomp_pl.modules.learning import Schedule, ScheduledModule
from semcomp_pl.modules.rate import EstimatedRate
from semcomp_pl.nets.blocks import Norm, recompute_activations
from semcomp_pl.nets.codec import CodecNet
from semcomp_pl.nets.labels import majority
from semcomp_pl.nets.quantizer import Gradient
from semcomp_pl.nets.tables import EntropyModel
from semcomp_pl.nets.trunk import Trunk, Upsampling
from semcomp_pl.types import Batch, CodecOutput

if TYPE_CHECKING:
    from semcomp_pl.nets.segmenter import Segmenter


class CodecModule(ScheduledModule):
    """Trains a `CodecNet`.

        x --E--> latent --Q--> symbols --> centres --G--> x̂

    Args:
        filters: Width F of the finest stage of encoder and generator.
        blocks: Residual blocks N of the generator.
        channels: Channels C of the latent.
        levels: Quantisation levels L.
        downsamplings: Halvings d between image and latent.
        trunk: `fast` (space-to-depth entrance, pixel-shuffle exit) or `paper` (Agustsson et al.).
        norm: `channel` (independent of the image size) or `instance` (paper).
        upsampling: In the paper trunk's generator, `resize` + convolution or `transposed` convolution (paper).
        quantizer_gradient: `soft` assignment or `straight_through`.
        learning_rate: Learning rate of encoder and generator (Adam).
        betas: Betas of all Adam optimisers.
        schedule: How all learning rates fall over `max_epochs`.
        gradient_clip: Largest gradient norm of a step; 0 for no clipping.
        accumulate: Number of batches whose gradients are averaged for one step of the optimisers.
        recompute: Whether the activations of residual blocks are computed again for their gradients instead of being
            kept, which takes less memory and more time.
        num_classes: Number of classes K of the label maps; the data module sets it.
        class_names: Names of the classes; the data module sets them.
        init_from: Model of the suite (name, run, export or checkpoint) whose encoder and generator to start from; used
            for fitting only.
        judge: Segmenter (name, run, export or checkpoint) that judges reconstructions; adds mIoU to validation and
            test.
        realism_judge: Checkpoint of an adversarial model; adds feature matching under its discriminator to validation
            and test.
        metrics: Names of further metrics for validation and test; a metric whose weights are missing is left out.
        entropy_model: How files code the symbols once `fit-entropy` or the end of `fit` has fitted it: `context`
            (each symbol from its decoded neighbours) or `static` (one table per channel).
        rate_weight: Weight of the estimated bits per pixel of the symbols in the loss, under an entropy model that
            learns beside the codec; 0 for none. The term is logged as `rate`, the estimate as `bpp_estimated`.

    Raises:
        SemcompError: no network can be built from these numbers.
    """

    part = "codec"
    net_type: ClassVar[type[CodecNet]] = CodecNet
    fixed: ClassVar[tuple[str, ...]] = ()
    """Arguments that a subclass fixes and does not take itself."""

    def __init__(
        self,
        filters: int = 64,
        blocks: int = 3,
        channels: int = 8,
        levels: int = 5,
        downsamplings: int = 4,
        trunk: Trunk = "fast",
        norm: Norm = "channel",
        upsampling: Upsampling = "resize",
        quantizer_gradient: Gradient = "soft",
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        schedule: Schedule = "cosine",
        gradient_clip: float = 1.0,
        accumulate: int = 1,
        recompute: bool = False,
        num_classes: int = 0,
        class_names: list[str] | None = None,
        init_from: str | None = None,
        judge: str | None = None,
        realism_judge: str | None = None,
        metrics: tuple[Extra, ...] = (),
        entropy_model: EntropyModel = "context",
        rate_weight: float = 0.0,
    ) -> None:
        super().__init__(schedule, gradient_clip, accumulate)
        self.save_hyperparameters(ignore=self.fixed)
        self.learning_rate, self.betas = learning_rate, betas
        self.num_classes, self.class_names = num_classes, class_names
        self.init_from, self.judge_path = init_from, judge
        self.realism_judge, self.metrics = realism_judge, metrics
        self.codec = self.net_type.of(self.hparams)
        if recompute:
            recompute_activations(self.codec)
        self._snapshot: NeuralCodec | None = None
        if not 0 <= rate_weight < math.inf:
            raise SemcompError(f"rate_weight={rate_weight} found, expected 0 or more; set --model.rate_weight")
        self.rate_weight = rate_weight
        shape = self.codec.shape
        self.rate = EstimatedRate(shape.channels, shape.levels, self.codec.side_channels) if rate_weight else None

    def side_label(self, batch: Batch) -> Tensor | None:
        """The label map (B, H, W) that encoder and generator see; None if they see none."""
        return None

    def rival(self) -> bytes | None:
        """Fingerprint of the segmenter that this model is trained against; None if there is no such segmenter."""
        return None

    def rivals(self) -> list[bytes]:
        """Fingerprints of the segmenters that may not judge this model."""
        rival = self.rival()
        return [] if rival is None else [rival]

    def forward(self, batch: Batch) -> CodecOutput:
        """Code and decode a batch of images of any size.

        Raises:
            SemcompError: the model needs label maps and the batch has none.
        """
        output: CodecOutput = self.codec(batch["image"], self.side_label(batch), batch.get("keep"))
        return output

    def rate_terms(self, batch: Batch, out: CodecOutput) -> dict[str, Tensor]:
        """The weighted rate of the codec's output, a term of the loss; nothing without `rate_weight`."""
        return {} if self.rate is None else {"rate": self.rate_weight * self.estimated_bpp(batch, out).mean()}

    def estimated_bpp(self, batch: Batch, out: CodecOutput) -> Tensor:
        """Estimated bits per pixel (B,) of the symbols alone, those of the kept regions if there are any."""
        assert self.rate is not None
        net, label, keep = self.codec, self.side_label(batch), batch.get("keep")
        cells = None if label is None else majority(net.pad(label), self.num_classes, net.grid.step)
        heatmap = None if keep is None else net.heatmap(keep)
        bits: Tensor = self.rate(out.symbols, net.quantizer.assignment(out.latent.float()), cells, heatmap)
        return bits / math.prod(batch["image"].shape[-2:])

    def logged(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `ScheduledModule.logged`; the rate is also logged without its weight."""
        unweighted = {"bpp_estimated": terms["rate"].detach() / self.rate_weight} if "rate" in terms else {}
        return {**super().logged(terms), **unweighted}

    def train(self, mode: bool = True) -> "CodecModule":
        """Set the mode, and discard the snapshot that files are coded with."""
        self._snapshot = None
        return super().train(mode)

    def neural_codec(self) -> NeuralCodec:
        """A codec with the current weights and tables, kept until the model changes mode."""
        if self._snapshot is None:
            saved = saved_of(name_of(type(self)), self.hparams, self.state_dict())
            self._snapshot = codec_of(saved, saved.model).to(self.device)
        return self._snapshot

    def setup(self, stage: str) -> None:
        """Copy the training split's statistics or another model's weights, and load the judges."""
        if stage == "fit" and self.trainer.ckpt_path is None:  # a resumed run's checkpoint holds all of this
            if self.init_from is not None:
                self.warm_start = start_from(self.codec, type(self).__name__, self.rival(), self.init_from)
            else:
                mean, std = self.trainer.datamodule.statistics()  # type: ignore[attr-defined]
                self.codec.mean.copy_(torch.tensor(mean))
                self.codec.std.copy_(torch.tensor(std))
        judge = None if self.judge_path is None else self._load_judge(self.judge_path)
        self.judged_by = None if judge is None else judge.fingerprint()
        self.refuse_rival()
        shape = self.codec.shape
        self.suite = MetricSuite(
            self.num_classes or None,
            judge,
            self.class_names or (),
            self.metrics,
            LatentIoU(shape.channels, shape.levels) if self.codec.symbols_are_code else None,
            None if self.realism_judge is None else load_discriminator(self.realism_judge),
            self.data_parts(),
        )

    def _load_judge(self, path: str) -> "Segmenter":
        """The judge, if it sees the classes of the data."""
        judge = load_segmenter(path)
        if judge.num_classes != self.num_classes:
            raise SemcompError(
                f"{path}: a judge of {judge.num_classes} classes found, the data have {self.num_classes}; name one "
                "that was trained on such data with --model.judge, or --model.judge=null"
            )
        return judge

    def refuse_rival(self) -> None:
        """Check the judge against `rivals`.

        Raises:
            SemcompError: the judge is one of them.
        """
        if self.judged_by is not None and self.judged_by in self.rivals():
            raise SemcompError(
                f"{self.judge_path}: this segmenter was part of the model's training and may not judge it; "
                "give another one with --model.judge, or --model.judge=null"
            )

    # a checkpoint's fingerprints are in place only now: Lightning restores weights after `setup`
    on_validation_start = on_test_start = refuse_rival

    def codec_optimizer(self) -> Optimizer:
        """Adam for encoder and generator, and for any entropy model of `rate_weight`."""
        own = [*self.codec.encoder.parameters(), *self.codec.generator.parameters()]
        groups: list[dict[str, Any]] = [{"params": own}]
        groups += [] if self.rate is None else [self.rate.parameter_group()]
        return Adam(groups, self.learning_rate, self.betas, fused=True)

    def codec_parameters(self) -> list[nn.Parameter]:
        """The parameters of `codec_optimizer`."""
        parts = [self.codec.encoder, self.codec.generator, *([] if self.rate is None else [self.rate])]
        return [parameter for part in parts for parameter in part.parameters()]

    def networks(self) -> list[nn.Module]:
        """Encoder and generator."""
        return [self.codec.encoder, self.codec.generator]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics; rates are bounds, because entropy models are fitted after training."""
        image = batch["image"]
        out = self.evaluate(batch)
        bpp: dict[str, Tensor | float] = {"bpp_bound": self.codec.bpp_bound(image.shape[-2], image.shape[-1])}
        if self.rate is not None:
            bpp["bpp_estimated"] = self.estimated_bpp(batch, out)
        self.suite.update(out.reconstruction, image, bpp=bpp, label=batch.get("label"), names=batch.get("name", ()))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics: images decoded from the bytes of files, and the sizes of the files."""
        image, sent, codec = batch["image"], self.label_for_file(batch), self.neural_codec()
        reconstruction, rates = codec.measure(image, sent)
        bpp = {name: torch.tensor(values) for name, values in by_name(rates).items()}
        seen = codec.encode_again(reconstruction, image, sent)
        symbols = None if seen is None else seen[:2]
        label, names = batch.get("label"), batch.get("name", ())
        self.suite.update(reconstruction, image, bpp=bpp, label=label, symbols=symbols, names=names)

    def label_for_file(self, batch: Batch) -> Tensor | None:
        """The label map to compress a batch with; None if none is sent or the codec makes its own."""
        return None

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Reconstructions (B, 3, H, W) in [0, 1]."""
        return self.evaluate(batch).reconstruction

    def on_validation_epoch_end(self) -> None:
        """Log `val/...` over all images of the split."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log `test/...` over all images of the split."""
        self._log_metrics("test")

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> CodecOutput:
        """The model's output in float32, whatever the training precision: bf16 changes half of all 8-bit values."""
        # eager, as compiling once more for another precision takes longer than most validations
        with torch.autocast(self.device.type, enabled=False), torch.compiler.set_stance("force_eager"):
            output: CodecOutput = self(batch)
        return output

    def _log_metrics(self, split: str) -> None:
        for name, value in self.suite.compute().items():
            self.log(f"{split}/{name}", value, prog_bar=not (is_detail(name) or "/" in name))
        self.suite.reset()

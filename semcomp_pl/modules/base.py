"""What every codec shares: the path from image to image, and one judgement of it. Trains nothing."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from semcomp_pl.coding.container import MAX_PIXELS
from semcomp_pl.coding.image_file import by_name
from semcomp_pl.errors import SemcompError
from semcomp_pl.metrics.latent_iou import LatentIoU
from semcomp_pl.metrics.suite import Extra, MetricSuite, is_detail
from semcomp_pl.checkpoints.bundle import rounded
from semcomp_pl.checkpoints.checkpoint import start_from
from semcomp_pl.codecs.neural import TILE, TrainedCodec
from semcomp_pl.nets.tables import EntropyModel, EntropyTables
from semcomp_pl.nets.labels import majority, one_hot
from semcomp_pl.modules.learning import Schedule, ScheduledModule
from semcomp_pl.modules.realism import TrainedDiscriminator
from semcomp_pl.modules.segmentation import Segmentation
from semcomp_pl.nets.blocks import Norm
from semcomp_pl.nets.encoder import make_encoder
from semcomp_pl.nets.generator import make_generator
from semcomp_pl.nets.quantizer import Gradient, Quantizer
from semcomp_pl.nets.tiling import reflect_pad
from semcomp_pl.nets.trunk import Trunk, TrunkShape, Upsampling
from semcomp_pl.types import Batch, CodecOutput


class CodecModule(ScheduledModule):
    """An encoder, a quantiser and a generator.

        x --E--> latent --Q--> symbols --> centres --G--> x̂

    Args:
        filters: Width F of the finest stage of encoder and generator.
        blocks: Residual blocks N of the generator.
        channels: Channels C of the latent.
        levels: Quantisation levels L.
        downsamplings: Halvings d between image and latent.
        trunk: `fast` (space-to-depth entrance, pixel-shuffle exit) or `paper` (Agustsson et al.).
        norm: `channel` (independent of the image size) or `instance` (paper).
        upsampling: Of the paper trunk's generator: `resize` + convolution or `transposed` convolution (paper).
        quantizer_gradient: `soft` assignment or `straight_through`.
        learning_rate: Of encoder and generator (Adam).
        betas: Of every Adam.
        schedule: Of every learning rate, over `max_epochs`.
        gradient_clip: Largest gradient norm of a step; 0 for no clipping.
        num_classes: Classes K of the label maps; the data module sets it.
        class_names: Their names; the data module sets them.
        init_from: Checkpoint of any codec of the suite whose encoder and generator to start from; read when
            fitting only.
        judge: Checkpoint of a segmenter; adds mIoU to validation and test.
        realism_judge: Checkpoint of an adversarial model; adds feature matching under its discriminator.
        metrics: Further metrics of validation and test, by name; one whose weights are not there is left out.
        entropy_model: How files code the symbols once `fit-entropy` or the end of `fit` has fitted it: `context`
            (from decoded neighbours) or `static` (one table a channel).

    Raises:
        SemcompError: numbers from which no network can be built.
    """

    mean: Tensor
    std: Tensor

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
        num_classes: int = 0,
        class_names: list[str] | None = None,
        init_from: str | None = None,
        judge: str | None = None,
        realism_judge: str | None = None,
        metrics: tuple[Extra, ...] = (),
        entropy_model: EntropyModel = "context",
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate, self.betas = learning_rate, betas
        self.schedule, self.gradient_clip = schedule, gradient_clip
        self.num_classes, self.class_names = num_classes, class_names
        self.channels, self.downsamplings = channels, downsamplings
        self.init_from, self.judge_path = init_from, judge
        self.realism_judge, self.metrics = realism_judge, metrics
        # neither reflection nor a mean over the image has a meaning on a single cell
        self.least_cells = 2 if trunk == "paper" or norm == "instance" else 1
        shape = TrunkShape(filters, blocks, channels, downsamplings, trunk, norm, upsampling, self.side_channels())
        self.encoder = self.build_encoder(shape)
        self.quantizer = Quantizer(levels, quantizer_gradient)
        self.generator = self.build_generator(shape)
        self.entropy = EntropyTables(channels, levels, self.side_channels(), entropy_model)
        self._codec: TrainedCodec | None = None
        self.register_buffer("mean", torch.full((3,), 0.5))
        self.register_buffer("std", torch.full((3,), 0.25))
        self.to(memory_format=torch.channels_last)

    full_labels = False
    """Whether a transmitted label map is sent at the image's size; on the latent grid otherwise."""

    selects = False
    """Whether files may hold the symbols of some cells only, and then a heatmap of which."""

    def build_encoder(self, shape: TrunkShape) -> nn.Module:
        """E, which takes a normalised image and a one-hot label map or None to the latent."""
        return make_encoder(shape)

    def build_generator(self, shape: TrunkShape) -> nn.Module:
        """G, which takes a quantised latent and a one-hot label map or None to an image."""
        return make_generator(shape)

    def side_channels(self) -> int:
        """Classes K of the label map that encoder and generator see, one-hot; 0 for none."""
        return 0

    def side_label(self, batch: Batch) -> Tensor | None:
        """The label map (B, H, W) that is transmitted beside the symbols; None where there is none."""
        return None

    def rivals(self) -> list[bytes]:
        """Fingerprints of the segmenters that may not judge this model: it was trained against them."""
        return []

    def forward(self, batch: Batch) -> CodecOutput:
        """Code and decode a batch of images of any size.

        Raises:
            SemcompError: the model needs label maps and the batch has none.
        """
        image = batch["image"]
        label = self.side_label(batch)
        label = None if label is None else self.pad(label)
        latent = self.analysis(self.pad(image), label)
        quantized, symbols = self.quantizer(latent)
        if "keep" in batch:
            quantized = quantized * self.heatmap(batch["keep"])[:, None]
        sent = label if label is None or self.full_labels else self.reduce_label(label)
        reconstruction = self.synthesis(quantized, sent)
        return CodecOutput(reconstruction[..., : image.shape[-2], : image.shape[-1]], latent, symbols)

    def analysis(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Image (B, 3, H, W) and label map (B, H, W), padded to the grid, to the latent (B, C, h, w)."""
        image = image.contiguous(memory_format=torch.channels_last)
        normalised = (image - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)
        latent: Tensor = self.encoder(normalised, None if label is None else one_hot(label, self.num_classes))
        return latent

    def synthesis(self, quantized: Tensor, label: Tensor | None = None) -> Tensor:
        """Quantised latent (B, C, h, w) and the label map as it was sent to an image (B, 3, 2^d h, 2^d w)."""
        side = None if label is None else one_hot(label, self.num_classes)
        image: Tensor = self.generator(quantized, side)
        return image

    def pad(self, image: Tensor) -> Tensor:
        """Image (..., H, W), or label map, mirrored at its lower and right border up to a whole grid."""
        rows, columns = self.grid(image.shape[-2], image.shape[-1])
        return reflect_pad(image, rows << self.downsamplings, columns << self.downsamplings)

    def reduce_label(self, label: Tensor) -> Tensor:
        """Padded label map (B, H, W) to the latent grid by majority vote."""
        return majority(label, self.num_classes, 1 << self.downsamplings)

    def heatmap(self, keep: Tensor) -> Tensor:
        """The cells (B, h, w) that hold any pixel of a region (B, H, W), both bool."""
        return F.max_pool2d(self.pad(keep)[:, None].float(), 1 << self.downsamplings)[:, 0] > 0

    def reach(self) -> int:
        """Cells of the grid that encoder and generator look beyond a cell, rounded up."""
        return 2 * int(self.hparams["blocks"]) + 4

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the latent of an image: size / 2^d, rounded up."""
        step = 2**self.downsamplings
        return max(self.least_cells, math.ceil(height / step)), max(self.least_cells, math.ceil(width / step))

    def bpp_bound(self, height: int, width: int) -> float:
        """Bits per pixel without entropy model: H/2^d * W/2^d * C * log2 L, and log2(K + 1) a label sent."""
        cells = math.prod(self.grid(height, width))
        bits = self.quantizer.bound_bits(cells * self.channels)
        if labels := self.entropy.label_coder():
            bits += labels.bound_bits(height * width if self.full_labels else cells)
        return bits / (height * width)

    def train(self, mode: bool = True) -> "CodecModule":
        """Forget the snapshot that files are coded with."""
        self._codec = None
        return super().train(mode)

    def codec(self) -> TrainedCodec:
        """The codec of the weights and tables as they are now, kept until the model is trained or loaded again."""
        if self._codec is None:
            self._codec = self.make_codec()
        return self._codec

    def make_codec(self, tile: int = TILE, max_pixels: int = MAX_PIXELS) -> TrainedCodec:
        """A new codec of the weights and tables as they are now; arguments as of `TrainedCodec`."""
        return TrainedCodec(self, tile, max_pixels)

    def as_exported(self) -> "CodecModule":
        """Another model of the same numbers, with the weights that come back from an export of this one."""
        # LightningCLI adds notes of its own, under names with an underscore
        twin = type(self)(**{name: value for name, value in self.hparams.items() if not name.startswith("_")})
        twin.load_state_dict(rounded(self.state_dict()), strict=False)  # it has no trained discriminator
        return twin.to(self.device).eval()

    def compress(self, image: Tensor, label: Tensor | None = None) -> bytes:
        """The file of an image (3, H, W) in [0, 1]: `TrainedCodec.compress`."""
        return self.codec().compress(image, label)

    def decompress(self, data: bytes) -> Tensor:
        """The image (3, H, W) of a file: `TrainedCodec.decompress`."""
        return self.codec().decompress(data)

    def setup(self, stage: str) -> None:
        """Take the training split's statistics or another model's weights, and call in the judge."""
        if stage == "fit":
            if self.init_from is not None:
                start_from(self, self.init_from)
            else:
                mean, std = self.trainer.datamodule.statistics()  # type: ignore[attr-defined]
                self.mean.copy_(torch.tensor(mean))
                self.std.copy_(torch.tensor(std))
        judge = None if self.judge_path is None else Segmentation.from_file(self.judge_path)
        self.judged_by = None if judge is None else judge.fingerprint()
        self.refuse_rival()
        self.suite = MetricSuite(
            self.num_classes or None,
            judge,
            self.class_names or (),
            self.metrics,
            self.latent_metric(),
            None if self.realism_judge is None else TrainedDiscriminator.from_file(self.realism_judge),
        )

    def latent_metric(self) -> LatentIoU | None:
        """What counts the symbols of reconstructions; None where symbols are no code of their own."""
        return LatentIoU(self.channels, self.quantizer.levels)

    def refuse_rival(self) -> None:
        """Check the judge against `rivals`.

        Raises:
            SemcompError: it is one of them.
        """
        if self.judged_by is not None and self.judged_by in self.rivals():
            raise SemcompError(
                f"{self.judge_path}: this segmenter was part of the model's training and may not judge it; "
                "give another one with --model.judge, or --model.judge=null"
            )

    # Only now are a checkpoint's fingerprints in place: Lightning restores weights after `setup`.
    on_validation_start = on_test_start = refuse_rival

    def codec_optimizer(self) -> Optimizer:
        """Adam on encoder and generator."""
        parameters = [*self.encoder.parameters(), *self.generator.parameters()]
        return Adam(parameters, self.learning_rate, self.betas)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics; rates are bounds, because entropy models come after training."""
        image = batch["image"]
        bound = {"bpp_bound": self.bpp_bound(*image.shape[-2:])}
        self.suite.update(self.evaluate(batch).reconstruction, image, bpp=bound, label=batch.get("label"))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the metrics: images decoded from the bytes of files, and the sizes of these."""
        image, sent = batch["image"], self.label_for_file(batch)
        reconstruction, rates = self.codec().measure(image, sent)
        bpp = {name: torch.tensor(values) for name, values in by_name(rates).items()}
        symbols = None if self.suite.latent is None else self.codec().encode_again(reconstruction, image, sent)
        self.suite.update(reconstruction, image, bpp=bpp, label=batch.get("label"), symbols=symbols)

    def label_for_file(self, batch: Batch) -> Tensor | None:
        """The label map to compress a batch with; None lets the model make it."""
        return None

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Reconstructions (B, 3, H, W) in [0, 1]."""
        return self.evaluate(batch).reconstruction

    def on_validation_epoch_end(self) -> None:
        """Log `val/...` over every image of the split."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log `test/...` over every image of the split."""
        self._log_metrics("test")

    @torch.no_grad()
    def evaluate(self, batch: Batch) -> CodecOutput:
        """The model's output in float32, whatever the precision of training: bf16 moves half of all pixels."""
        with torch.autocast(self.device.type, enabled=False):
            output: CodecOutput = self(batch)
        return output

    def _log_metrics(self, split: str) -> None:
        for name, value in self.suite.compute().items():
            self.log(f"{split}/{name}", value, prog_bar=not is_detail(name))
        self.suite.reset()

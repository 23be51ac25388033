"""CoCliCo: a vector of meaning and a map of colours, decoded by a generative flow."""

from typing import cast

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from semcomp_pl.coding.colours import CELLS
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.base import CodecModule
from semcomp_pl.nets.coclico import CoCliCoNet, Sends
from semcomp_pl.nets.colour_map import colour_planes, colour_symbols, colour_values
from semcomp_pl.nets.embedder import EFFICIENTNET
from semcomp_pl.nets.latent_space import Space, to_ycbcr
from semcomp_pl.types import Batch

CALIBRATION = 2048
"""Largest number of training images that the rotation of vectors is fitted to."""


class FlowBatch(Batch, total=False):
    """What a step learns from."""

    latent: Tensor
    """z, (B, K, h, w)."""
    vector: Tensor
    """v as it is sent, (B, C)."""
    fine: Tensor
    """Mean Y, Cb, Cr of the smallest cells, (B, 3, rows, columns)."""
    planes: Tensor
    """c as the denoiser sees it, (B, 4, h, w)."""
    noise: Tensor
    """ε, (B, K, h, w)."""
    time: Tensor
    """t, (B,)."""


class CoCliCo(CodecModule):
    """x̂ = H(flow(ε; v, c)) with v = Q(R e(x)): Bachard, Bordin and Maugey's coding by CLIP latents and colours.

        x --e--> embedding --R--> Q --> vector v --------+
        x --mean of cells--> Q --> colours c --+-guides--+
        noise ε ---------------------------- flow u -----+--> z --H--> x̂

    min u: E |u(z_t, t, v, c) - (ε - z)|² with z_t = (1 - t) z + t ε, z = E(x) and t the logistic function of a normal
    variable (flow matching). Nothing else is trained: embedder e and autoencoder E, H are frozen, the rotation R is
    fitted to the first training images. c is the map at a random size of cells; v and c are left out at random, so that
    files may lack either, and the flow can be guided by both (classifier-free guidance).

    In coding, c also guides the flow without training; see `semcomp_pl.nets.sampler.ColourGuidance`.

    Source: Bachard et al., PCS 2024, https://doi.org/10.1109/PCS60826.2024.10566358; Bachard and Maugey, IEEE Access
    2024, https://doi.org/10.1109/ACCESS.2024.3408651 (the vector alone); Bordin and Maugey,
    https://arxiv.org/abs/2404.06865 (the guidance); Lipman et al., https://arxiv.org/abs/2210.02747, and Esser et al.,
    https://arxiv.org/abs/2403.03206 (the flow and t); Ho and Salimans, https://arxiv.org/abs/2207.12598.

    Args:
        filters: Width F of the denoiser at the latent's size.
        blocks: Residual blocks N of each of the denoiser's stages.
        channels: Number of dimensions C of the vector.
        levels: Quantisation levels L of each dimension.
        downsamplings: Size 2^d of the colour map's cells in files, in pixels of the picture as it is drawn: 3 to 6.
        embedder: `efficientnet_lite0`, or `open_clip:` and the name of a CLIP model.
        embedder_weights: Checkpoint of the CLIP model; one in torch.hub's directory if not given.
        latent_space: `taef2`, whose files are no part of the suite, or `pixels`, which needs none.
        latent_weights: Directory of the latent space's files; torch.hub's if not given.
        pixels: Number of pixels of a picture as it is drawn, whatever the image's size: 2^12 to 2^20.
        sends: What files hold: `both`, the `vector` or the `colours`.
        max_bytes: Largest size of a file in bytes; 0 for no limit. Where it would be exceeded, cells are larger, and
            where that does not help, a file with a vector has no colours. If not given, it is 60 for `downsamplings` of
            5 or 6 and `pixels` of at most 2^15, and there is none otherwise.
        steps: Steps of the sampler.
        guidance: Weight w of v and c in the flow u_none + w (u - u_none).
        colour_guidance: Scale of the guidance to c; 0 for none.
        noise_seed: Seed of ε in coding.
        dropout: Probability that v, and independently c, is left out in training.
        replay: Number of epochs whose images all steps draw from: their latents, vectors and colours are computed
            before the first step and kept in memory, as the frozen networks take longer than the flow; 0 to compute
            those of each batch in its step.
        learning_rate: Learning rate of the denoiser (Adam).
        kwargs: See `CodecModule`. There is no trunk to choose, and entropy models are static.

    Raises:
        SemcompError: a number is out of range, or weights are missing.
    """

    net_type = CoCliCoNet
    fixed = ("entropy_model",)
    codec: CoCliCoNet

    def __init__(
        self,
        filters: int = 64,
        blocks: int = 1,
        channels: int = 32,
        levels: int = 4,
        downsamplings: int = 5,
        embedder: str = EFFICIENTNET,
        embedder_weights: str | None = None,
        latent_space: Space = "taef2",
        latent_weights: str | None = None,
        pixels: int = 1 << 15,
        sends: Sends = "both",
        max_bytes: int | None = None,
        steps: int = 20,
        guidance: float = 2.5,
        colour_guidance: float = 1.0,
        noise_seed: int = 0,
        dropout: float = 0.1,
        replay: int = 0,
        learning_rate: float = 1e-3,
        **kwargs: object,
    ) -> None:
        super().__init__(
            filters=filters,
            blocks=blocks,
            channels=channels,
            levels=levels,
            downsamplings=downsamplings,
            learning_rate=learning_rate,
            entropy_model="static",
            **kwargs,  # type: ignore[arg-type]
        )
        if not 0 <= dropout < 1 or replay < 0 or self.rate is not None:
            raise SemcompError(
                f"dropout={dropout}, replay={replay} and rate_weight={self.rate_weight} found, expected a probability, "
                "no negative number, and no rate: what is sent does not learn"
            )
        self.dropout, self.replay = dropout, replay
        self._table: dict[str, Tensor] | None = None

    def setup(self, stage: str) -> None:
        """See `CodecModule.setup`; fit the rotation to training images before the first epoch."""
        super().setup(stage)
        if stage == "fit" and self.trainer.ckpt_path is None and self.init_from is None:
            images = self.trainer.datamodule.store("train").maps["image"]  # type: ignore[attr-defined]
            chosen = [torch.from_numpy(images[i].copy()) for i in spread_over(len(images), CALIBRATION)]
            self.codec.calibrate(torch.stack(chosen).permute(0, 3, 1, 2))

    def on_fit_start(self) -> None:
        """See `ScheduledModule.on_fit_start`; fill the table of `replay`, with the same values when a run goes on."""
        super().on_fit_start()
        if self.replay:
            batches = self.trainer.datamodule.first_epochs(self.replay, "latents")  # type: ignore[attr-defined]
            parts = [self._rows(batch["image"].to(self.device)) for batch in batches]
            self._table = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def prepare(self, batch: Batch) -> FlowBatch:
        """Latents, vectors and colours, of a batch or as many of the table, and what a step draws at random."""
        image = batch["image"]
        found = self._seen(image) if self._table is None else _drawn(self._table, len(image), image.device)
        latent, count = found["latent"], len(found["latent"])
        kept = torch.rand(2, count, device=latent.device) >= self.dropout
        found["noise"] = torch.randn_like(latent)
        found["time"] = torch.sigmoid(torch.randn(count, device=latent.device))
        found["vector"] = found["vector"] * kept[0, :, None]
        found["planes"] = self.planes(found["fine"], latent) * kept[1, :, None, None, None]
        return found

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The flow's squared error."""
        given = cast(FlowBatch, batch)
        latent, noise, time = given["latent"], given["noise"], given["time"].view(-1, 1, 1, 1)
        noisy = (1 - time) * latent + time * noise
        velocity = self.codec.generator(noisy, given["time"], given["vector"], given["planes"])
        return {"flow": (velocity.float() - (noise - latent)).square().mean()}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam for the denoiser."""
        return self.codec_optimizer()

    def planes(self, fine: Tensor, latent: Tensor) -> Tensor:
        """The colour map of each image at a random size of cells, as the denoiser sees it, (B, 4, h, w)."""
        maps = [colour_values(colour_symbols(F.avg_pool2d(fine, 1 << d))) for d in range(len(CELLS))]
        sizes = [colour_planes(colours, latent.shape[-2:]) for colours in maps]
        chosen = torch.randint(len(sizes), (len(fine),), device=fine.device)
        return torch.stack([(chosen == i).view(-1, 1, 1, 1) * planes for i, planes in enumerate(sizes)]).sum(0)

    def _rows(self, image: Tensor) -> dict[str, Tensor]:
        """Rows of the table, in half precision, computed in the precision of a step."""
        with self.trainer.precision_plugin.train_step_context():
            found = cast(dict[str, Tensor], self._seen(image))
        return {name: value.half() for name, value in found.items()}

    @torch.no_grad()
    def _seen(self, image: Tensor) -> FlowBatch:
        """What the frozen networks make of images."""
        drawn = self.codec.resized(image)
        vector, _ = self.codec.quantizer(self.codec.analysis(drawn))
        fine = F.avg_pool2d(to_ycbcr(drawn), 1 << CELLS.start)
        return FlowBatch(latent=self.codec.latent(drawn), vector=vector, fine=fine)


def _drawn(table: dict[str, Tensor], count: int, device: torch.device) -> FlowBatch:
    """Random rows of a table."""
    rows = torch.randint(len(table["latent"]), (count,), device=device)
    return cast(FlowBatch, {name: values[rows].float() for name, values in table.items()})


def spread_over(length: int, count: int) -> list[int]:
    """Up to `count` places of a list, spread evenly over it."""
    return [i * length // min(length, count) for i in range(min(length, count))]

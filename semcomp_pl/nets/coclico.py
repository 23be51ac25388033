"""CoCliCo's networks: a vector of meaning and a map of colours out of an image, and a flow that draws one from them."""

import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.coding.colours import CELLS, LEVELS, drawn_size
from semcomp_pl.coding.grid import Grid
from semcomp_pl.coding.meaning import ColourSection, VectorSection
from semcomp_pl.coding.section import SectionCoder
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.codec import CodecNet, CodecShape
from semcomp_pl.nets.colour_map import colour_planes, colour_symbols, colour_values
from semcomp_pl.nets.denoiser import COLOURS, Denoiser
from semcomp_pl.nets.embedder import EFFICIENTNET, Embedder, embedding_dimensions, make_embedder
from semcomp_pl.nets.latent_space import CHANNELS, LatentSpace, Space, latent_space, to_ycbcr
from semcomp_pl.nets.sampler import ColourGuidance, noise, sample
from semcomp_pl.nets.tables import EntropyModel, MeaningTables
from semcomp_pl.nets.trunk import TrunkShape
from semcomp_pl.types import CodecOutput

Sends = Literal["both", "vector", "colours"]

USUAL_LIMIT = 60
"""Largest size in bytes of a file with cells of 32 or 64 pixels of a picture of 2^15."""
LATENTS = 64
"""Number of images whose latents `calibrate` looks at."""


@dataclass(frozen=True, kw_only=True)
class CoCliCoShape(CodecShape):
    """What CoCliCo's networks are built from, and how its files are written and read.

    `filters` and `blocks` are those of the denoiser; `channels` and `levels` those of the vector; `downsamplings` is
    the size of the colour map's cells, in pixels of the picture as it is drawn.

    Args:
        embedder: See `make_embedder`.
        embedder_weights: File of the embedder's weights, for CLIP models.
        latent_space: Space in which pictures are generated.
        latent_weights: Directory of the latent space's files; torch.hub's if not given.
        pixels: Number of pixels of a picture as it is drawn, whatever the size of the image.
        sends: Parts that a file gets.
        max_bytes: Largest size of a file; 0 for no limit, and if not given, see `limit`.
        steps: Number of steps of the sampler.
        guidance: Weight w of what vector and colours change in the flow; 1 for the flow as it was learnt.
        colour_guidance: Scale s of the guidance to the colour map; 0 for none.
        noise_seed: Seed of the noise that all pictures are made of.
    """

    filters: int = 64
    blocks: int = 1
    channels: int = 32
    levels: int = 4
    downsamplings: int = 5
    entropy_model: EntropyModel = field(default="static", init=False)
    embedder: str = EFFICIENTNET
    embedder_weights: str | None = None
    latent_space: Space = "taef2"
    latent_weights: str | None = None
    pixels: int = 1 << 15
    sends: Sends = "both"
    max_bytes: int | None = None
    steps: int = 20
    guidance: float = 2.5
    colour_guidance: float = 1.0
    noise_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.downsamplings not in CELLS:
            raise SemcompError(f"downsamplings={self.downsamplings} found, expected 3 to 6: cells of 8 to 64 pixels")
        if not 1 << 12 <= self.pixels <= 1 << 20:
            raise SemcompError(
                f"pixels={self.pixels} found, expected 2^12 to 2^20: larger pictures do not fit into memory while they "
                "are drawn"
            )
        if not 1 <= self.steps <= 1000 or min(self.guidance, self.colour_guidance, self.noise_seed) < 0:
            raise SemcompError(
                f"steps={self.steps}, guidance={self.guidance}, colour_guidance={self.colour_guidance} and "
                f"noise_seed={self.noise_seed} found, expected 1 to 1000 steps and no negative number"
            )
        if self.limit < 0:
            raise SemcompError(f"max_bytes={self.max_bytes} found, expected a number of bytes, or 0 for no limit")
        if self.sends not in ("both", "vector", "colours"):
            raise SemcompError(f"sends={self.sends} found, expected both, vector or colours")

    @property
    def limit(self) -> int:
        """Largest size of a file in bytes; 0 for no limit, as is usual for many cells."""
        if self.max_bytes is not None:
            return self.max_bytes
        return USUAL_LIMIT if self.downsamplings >= 5 and self.pixels <= 1 << 15 else 0


class CoCliCoNet(CodecNet):
    """Vector and colour map of an image, and the picture that a flow draws from them.

    The embedder and the latent space are frozen and no part of the state. They are found on disk when they are first
    needed: the embedder to compress, the latent space to decompress, both to train.
    """

    shape_type = CoCliCoShape
    shape: CoCliCoShape
    identity = ("levels", "embedder", "latent_space", "pixels")
    options = (
        *("sends", "downsamplings", "max_bytes", "steps", "guidance", "colour_guidance", "noise_seed"),
        *("embedder_weights", "latent_weights"),
    )
    latent_mean: Tensor
    latent_std: Tensor
    colour_weight: Tensor
    colour_bias: Tensor
    embedder_id: Tensor

    def __init__(self, shape: CodecShape) -> None:
        super().__init__(shape)
        channels = CHANNELS[self.shape.latent_space]
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_std", torch.ones(channels))
        self.register_buffer("colour_weight", torch.eye(3, channels))
        self.register_buffer("colour_bias", torch.zeros(3))
        self.register_buffer("embedder_id", torch.zeros(8, dtype=torch.uint8))
        self.frozen: dict[str, nn.Module] = {}  # in a dictionary, so that they are not registered

    @property
    def symbols_are_code(self) -> bool:
        """False: they say what is seen, and equal ones do not mean equal pictures."""
        return False

    @property
    def grid(self) -> Grid:
        """The cells of the colour map, in a picture as it is drawn."""
        return Grid(self.shape.downsamplings)

    @property
    def rotation(self) -> nn.Linear:
        """R, in the place of an encoder."""
        return cast(nn.Linear, self.encoder)

    @property
    def embedder(self) -> Embedder:
        """The frozen embedder, on the network's device.

        Raises:
            SemcompError: its weights are missing, or are not those that the model was trained with.
        """
        if "embedder" not in self.frozen:
            found = make_embedder(self.shape.embedder, self.shape.embedder_weights)
            if self.embedder_id.any() and bytes(self.embedder_id.tolist()) != found.fingerprint():
                raise SemcompError(
                    f"{self.shape.embedder} with weights {found.fingerprint().hex()} found, expected "
                    f"{bytes(self.embedder_id.tolist()).hex()}, which the model was trained with; fetch those"
                )
            self.frozen["embedder"] = found
        embedder: Embedder = self._moved(self.frozen["embedder"])
        return embedder

    @property
    def space(self) -> LatentSpace:
        """The frozen latent space, on the network's device.

        Raises:
            SemcompError: its weights are missing or damaged.
        """
        if "space" not in self.frozen:
            self.frozen["space"] = latent_space(self.shape.latent_space, self.shape.latent_weights)
        space: LatentSpace = self._moved(self.frozen["space"])
        return space

    def _moved(self, network: Any) -> Any:
        place = next(itertools.chain(network.parameters(), network.buffers())).device
        return network if place == self.mean.device else network.to(self.mean.device)

    def build_encoder(self, trunk: TrunkShape) -> nn.Module:
        """Build the rotation of embeddings, which `calibrate` fits."""
        rotation = nn.Linear(embedding_dimensions(self.shape.embedder), trunk.channels)
        return rotation.requires_grad_(False)

    def build_generator(self, trunk: TrunkShape) -> nn.Module:
        """Build the denoiser."""
        channels = CHANNELS[self.shape.latent_space]
        return Denoiser(channels, trunk.channels, trunk.filters, trunk.blocks)

    def build_tables(self) -> MeaningTables:
        """Build the tables of vector and colours."""
        return MeaningTables(self.shape.channels, self.shape.levels, 0, "static")

    def sections(self) -> list[SectionCoder]:
        """The coders of vector and colour map, each of which a file may lack."""
        tables = cast(MeaningTables, self.entropy)
        vector, colours = tables.vector_coder(), tables.colour_coder()
        return [VectorSection(vector), ColourSection(colours, self.shape.pixels)]

    def bpp_bound(self, height: int, width: int) -> float:
        """C log2 L bits for the vector, and 3 log2 24 for each cell of the colour map."""
        rows, columns = self.grid.cells(*self.drawn_size(height, width))
        vector, colours = self.quantizer.bound_bits(self.shape.channels), 3 * math.log2(LEVELS) * rows * columns
        sent = {"vector": vector, "colours": colours, "both": vector + colours}
        return sent[self.shape.sends] / (height * width)

    def drawn_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width at which an image of a size is embedded and drawn."""
        return drawn_size(height, width, self.shape.pixels)

    def forward(self, image: Tensor, label: Tensor | None = None, keep: Tensor | None = None) -> CodecOutput:
        """Code and decode images (B, 3, H, W)."""
        drawn = self.resized(image)
        latent = self.analysis(drawn)
        vector, symbols = self.quantizer(latent)
        colours = colour_values(self.colours(drawn, self.shape.downsamplings))
        parts = {"vector": (vector, None), "colours": (None, colours), "both": (vector, colours)}
        return CodecOutput(self.draw(*parts[self.shape.sends], *image.shape[-2:]), latent, symbols)

    def resized(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) at the size at which they are embedded and drawn."""
        return resize(image, self.drawn_size(image.shape[-2], image.shape[-1]))

    def analysis(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """The vector (B, C), of unit steps, of images as they are drawn."""
        latent: Tensor = self.rotation(self.embedder(image))
        return latent

    def colours(self, image: Tensor, downsamplings: int) -> Tensor:
        """The map (B, 3, rows, columns) of images as they are drawn, in cells of 2^d pixels; long, 0..23."""
        return colour_symbols(F.avg_pool2d(to_ycbcr(image), 1 << downsamplings))

    def latent(self, image: Tensor) -> Tensor:
        """z: the latents (B, K, h, w) of images as they are drawn, of mean 0 and deviation 1 in each channel."""
        found = self.space.encode(image).float()
        return (found - self.latent_mean.view(-1, 1, 1)) / self.latent_std.view(-1, 1, 1)

    def draw(self, vector: Tensor | None, colours: Tensor | None, height: int, width: int) -> Tensor:
        """The pictures (B, 3, height, width) of vectors (B, C) and colours (B, 3, rows, columns), or of one of them."""
        shape, given = self.shape, vector if vector is not None else colours
        assert given is not None
        drawn = self.drawn_size(height, width)
        size = [side // self.space.step for side in drawn]
        seen = given.new_zeros(len(given), shape.channels) if vector is None else vector
        planes = seen.new_zeros(len(given), COLOURS, *size) if colours is None else colour_planes(colours, size)

        def velocity(latent: Tensor, time: Tensor) -> Tensor:
            told: Tensor = self.generator(latent, time, seen, planes)
            if shape.guidance == 1:
                return told
            untold: Tensor = self.generator(latent, time, 0 * seen, 0 * planes)
            return untold + shape.guidance * (told - untold)

        guide: ColourGuidance | None = None
        if colours is not None and shape.colour_guidance:
            look = None if self.space.is_linear else self._decoded
            guide = ColourGuidance(colours, self.colour_weight, self.colour_bias, shape.colour_guidance, look)
        start = noise(shape.noise_seed, 1, len(self.latent_mean), *size).to(seen).expand(len(given), -1, -1, -1)
        latent = sample(velocity, start, shape.steps, guide)
        return resize(self._decoded(latent), (height, width)).clamp(0, 1)

    def _decoded(self, latent: Tensor) -> Tensor:
        """The images of latents of mean 0 and deviation 1."""
        return self.space.decode(latent * self.latent_std.view(-1, 1, 1) + self.latent_mean.view(-1, 1, 1))

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Fit what is fixed before training: the rotation of vectors, and the scale and the colours of latents.

        The rotation is to the principal components of embeddings, each scaled so that unit steps quantise it best if
        it is normal.

        Args:
            images: Uint8 (N, 3, H, W), N at least 2.

        Raises:
            SemcompError: weights of embedder or latent space are missing.
        """
        embeddings = torch.cat([self.embedder(self._as_drawn(part)) for part in torch.split(images, 16)]).double()
        few = [self._as_drawn(part) for part in torch.split(images[:LATENTS], 4)]
        latents = torch.cat([self.space.encode(part).float() for part in few])
        self.embedder_id.copy_(torch.tensor(list(self.embedder.fingerprint()), dtype=torch.uint8))
        mean = embeddings.mean(0)
        _, sizes, rotation = torch.linalg.svd(embeddings - mean, full_matrices=False)
        known = min(self.shape.channels, int((sizes > 1e-3 * sizes[0]).sum()))  # few images have few components
        steps = best_step(self.shape.levels) * sizes[:known] / len(images) ** 0.5
        weight = torch.zeros_like(self.rotation.weight, dtype=torch.double)
        weight[:known] = rotation[:known] / steps[:, None]
        self.rotation.weight.copy_(weight)
        self.rotation.bias.copy_(-weight @ mean)
        self.latent_mean.copy_(latents.mean((0, 2, 3)))
        self.latent_std.copy_(latents.std((0, 2, 3)))
        self._fit_colours(torch.cat([self.latent(part) for part in few]), torch.cat(few))

    def _as_drawn(self, images: Tensor) -> Tensor:
        return self.resized(images.to(self.mean.device) / 255)

    def _fit_colours(self, latents: Tensor, images: Tensor) -> None:
        """Least squares of mean colours from mean latents, over cells of 32 pixels."""
        means = F.avg_pool2d(latents, 32 // self.space.step).movedim(1, -1).flatten(0, 2).double()
        colours = F.avg_pool2d(to_ycbcr(images), 32).movedim(1, -1).flatten(0, 2).double()
        known = torch.cat([means, torch.ones_like(means[:, :1])], 1)
        gram = known.T @ known + 1e-3 * len(known) * torch.eye(known.shape[1], dtype=torch.double, device=known.device)
        found = torch.linalg.solve(gram, known.T @ colours).T
        self.colour_weight.copy_(found[:, :-1])
        self.colour_bias.copy_(found[:, -1])


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] at another size."""
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)


def best_step(levels: int) -> float:
    """The step of the uniform quantiser of L levels that a normal variable of deviation 1 loses least to.

    Source: Max, https://doi.org/10.1109/TIT.1960.1057548, table II: 1.596 for 2 levels, 0.996 for 4.
    """
    values = torch.linspace(-6, 6, 6001, dtype=torch.double)
    weights = torch.exp(-(values**2) / 2)
    steps = torch.linspace(0.01, 2, 400, dtype=torch.double)[:, None]
    centres = ((values / steps + (levels - 1) / 2).round().clamp(0, levels - 1) - (levels - 1) / 2) * steps
    return float(steps[(weights * (values - centres) ** 2).sum(1).argmin()])

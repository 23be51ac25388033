"""A pretrained decoder: diffusers' Stable unCLIP draws pictures from image embeddings of CLIP."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from semcomp_pl.codecs.base import CodecFacts, Kind
from semcomp_pl.codecs.meaning import SENT
from semcomp_pl.codecs.pixels import Picture, as_decoded, image_of, to_bytes
from semcomp_pl.coding import container
from semcomp_pl.coding.colours import CELLS, ColourCoder, drawn_size
from semcomp_pl.coding.container import MAX_PIXELS
from semcomp_pl.coding.content import Content
from semcomp_pl.coding.image_file import ImageFile
from semcomp_pl.coding.meaning import ColourSection, VectorSection
from semcomp_pl.coding.vector import VectorCoder
from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.coclico import Sends, best_step, resize
from semcomp_pl.nets.colour_map import colour_symbols, colour_values
from semcomp_pl.nets.extra import diffusers_part
from semcomp_pl.nets.latent_space import to_ycbcr
from semcomp_pl.nets.quantizer import Quantizer
from semcomp_pl.nets.sampler import ColourGuidance, noise


class StableUnclip(CodecFacts):
    """Codes images as CoCliCo does, with CLIP as embedder and Stable unCLIP as decoder, none of which is trained here.

    An embedding is normalised by the pipeline's own mean and deviation of each dimension, and quantised to `levels`
    levels. The colours of latents are fitted, once, to smooth pictures that the pipeline's autoencoder encodes.
    Sampling is guided to the colour map in every step; see `semcomp_pl.nets.sampler.ColourGuidance`.

    Source: https://huggingface.co/stabilityai/stable-diffusion-2-1-unclip-small; Ramesh et al.,
    https://arxiv.org/abs/2204.06125 (unCLIP). It needs `pip install semcomp_pl[coclico]`, and downloads nothing.

    Args:
        directory: A local directory with a `StableUnCLIPImg2ImgPipeline`, as `save_pretrained` writes it.
        levels: Quantisation levels L of each dimension of the embedding.
        downsamplings: Size 2^d of the colour map's cells, in pixels of the picture as it is drawn: 3 to 6.
        pixels: Number of pixels of a picture as it is drawn, whatever the image's size.
        sends: What files hold: `both`, the `vector` or the `colours`.
        steps: Steps of the sampler.
        guidance: Scale of the pipeline's own classifier-free guidance.
        noise_level: Noise on the embedding, 0 to 999, as the pipeline takes it.
        colour_guidance: Scale of the guidance to the colour map; 0 for none.
        noise_seed: Seed of the noise that all pictures are made of.
        device: cpu, cuda, ...

    Raises:
        SemcompError: the directory holds no such pipeline, or diffusers or transformers is not installed, or a number
            is out of range.
    """

    kind: Kind = "model"
    label = "Stable unCLIP"

    def __init__(
        self,
        directory: str,
        levels: int = 2,
        downsamplings: int = 6,
        pixels: int = 1 << 18,
        sends: Sends = "both",
        steps: int = 20,
        guidance: float = 10.0,
        noise_level: int = 0,
        colour_guidance: float = 1.0,
        noise_seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if downsamplings not in CELLS or not 1 << 12 <= pixels <= 1 << 20:
            raise SemcompError(
                f"downsamplings={downsamplings} and pixels={pixels} found, expected 3 to 6 and 2^12 to 2^20"
            )
        self.pipeline: Any = _load(directory).to(device)
        self.downsamplings, self.pixels, self.sends = downsamplings, pixels, sends
        self.steps, self.guidance, self.noise_level = steps, guidance, noise_level
        self.colour_guidance, self.noise_seed = colour_guidance, noise_seed
        self.quantizer, self.unit = Quantizer(levels).to(device), best_step(levels)
        self.fingerprint = _fingerprint(Path(directory), [levels, pixels])
        vector = VectorCoder(self.pipeline.image_normalizer.mean.shape[-1], levels)
        sections = [VectorSection(vector), ColourSection(ColourCoder(), pixels)]
        self.file = ImageFile(self.fingerprint, sections)
        parts = {"both": f"d{downsamplings}L{levels}", "vector": f"L{levels}", "colours": f"d{downsamplings}"}
        self.point = parts[sends]

    def provenance(self) -> Mapping[str, Any]:
        """The settings of the sampler."""
        names = ("steps", "guidance", "noise_level", "colour_guidance", "noise_seed")
        return {name: getattr(self, name) for name in names}

    def sections(self, data: bytes) -> dict[str, int]:
        """See `CodecFacts.sections`."""
        parsed = container.parse(data)
        parts = {section.kind.name.lower(): len(section.data) for section in parsed.sections}
        return {"header": parsed.overhead, **parts}

    @torch.no_grad()
    def compress(self, image: Picture) -> bytes:
        """See `Codec.compress`."""
        pixels = image_of(image)
        height, width = pixels.shape[-2:]
        drawn = resize(as_decoded(pixels)[None], drawn_size(height, width, self.pixels))
        _, symbols = self.quantizer(self._scaled(self._embedding(drawn)) / self.unit)
        colours = colour_symbols(F.avg_pool2d(to_ycbcr(drawn), 1 << self.downsamplings))
        parts = {container.Kind.VECTOR: symbols[0], container.Kind.COLOURS: colours[0]}
        sent = {kind: parts[kind].byte().cpu().numpy() for kind in SENT[self.sends]}
        return self.file.write(Content(height, width, sent))

    @torch.no_grad()
    def decompress(self, data: bytes) -> Tensor:
        """See `Codec.decompress`."""
        content = self.file.read(data, MAX_PIXELS)
        parts = {kind: torch.from_numpy(values)[None].long() for kind, values in content.parts.items()}
        vector, colours = parts.get(container.Kind.VECTOR), parts.get(container.Kind.COLOURS)
        embedding = torch.zeros(1, self.pipeline.image_normalizer.mean.shape[-1])  # the mean, if no vector was sent
        if vector is not None:
            embedding = self.quantizer.dequantize(vector).cpu() * self.unit
        picture = self._draw(embedding, None if colours is None else colour_values(colours), content)
        return as_decoded(resize(picture.clamp(0, 1), (content.height, content.width)))[0]

    def _draw(self, embedding: Tensor, colours: Tensor | None, content: Content) -> Tensor:
        """The picture (1, 3, h, w) of a scaled embedding (1, D) and colours (1, 3, rows, columns)."""
        pipeline, unet = self.pipeline, self.pipeline.unet
        height, width = drawn_size(content.height, content.width, self.pixels)
        size = [side // pipeline.vae_scale_factor for side in (height, width)]
        scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
        if colours is not None and self.colour_guidance:
            weight, bias = self._colours_of_latents
            scheduler = guided(scheduler, ColourGuidance(colours.to(unet.device), weight, bias, self.colour_guidance))
        pipeline.scheduler = scheduler
        latents = noise(self.noise_seed, 1, unet.config.in_channels, *size)
        pipeline.set_progress_bar_config(disable=True)
        images: Tensor = pipeline(
            prompt="",
            image_embeds=pipeline.image_normalizer.unscale(embedding.to(unet.device)).to(unet.dtype),
            height=height,
            width=width,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            noise_level=self.noise_level,
            generator=torch.Generator().manual_seed(self.noise_seed),
            latents=latents.to(unet.device, unet.dtype),
            output_type="pt",
        ).images
        return images.float().cpu()

    def _embedding(self, drawn: Tensor) -> Tensor:
        """CLIP's embedding (1, D) of a picture."""
        picture = Image.fromarray(to_bytes(drawn[0]).permute(1, 2, 0).numpy())
        encoder = self.pipeline.image_encoder
        pixels = self.pipeline.feature_extractor(images=picture, return_tensors="pt").pixel_values
        found: Tensor = encoder(pixels.to(encoder.device, encoder.dtype)).image_embeds
        return found.float()

    def _scaled(self, embedding: Tensor) -> Tensor:
        scaled: Tensor = self.pipeline.image_normalizer.to(embedding.device).scale(embedding)
        return scaled.float()

    @cached_property
    def _colours_of_latents(self) -> tuple[Tensor, Tensor]:
        """A (3, K) and its bias (3,), of `ColourGuidance`, by least squares over 64 smooth pictures."""
        vae = self.pipeline.vae
        means = noise(0, 64, 3, 2, 2).mul(0.25).add(0.5).clamp(0, 1)
        pictures = F.interpolate(means, (64, 64), mode="bilinear").to(vae.device, vae.dtype)
        latents = torch.cat([vae.encode(2 * part - 1).latent_dist.mean for part in torch.split(pictures, 8)])
        known = (latents.float() * vae.config.scaling_factor).mean((2, 3))
        known = torch.cat([known, torch.ones_like(known[:, :1])], 1)
        found = torch.linalg.lstsq(known.cpu(), to_ycbcr(pictures.float()).mean((2, 3)).cpu()).solution.T.to(vae.device)
        return found[:, :-1], found[:, -1]


def guided(scheduler: Any, guide: ColourGuidance) -> Any:
    """A scheduler of diffusers whose every step heads for the latent that a guide moves its own aim to.

    Raises:
        SemcompError: what its network predicts is neither the noise nor a velocity.
    """
    step, kind = scheduler.step, scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise SemcompError(f"a scheduler for {kind} found, expected epsilon or v_prediction; set colour_guidance to 0")

    def guided_step(output: Tensor, time: Any, sample: Tensor, *args: Any, **options: Any) -> Any:
        share = scheduler.alphas_cumprod[int(time)].to(sample)  # of the latent in the sample, the rest is noise
        kept, added = share.sqrt(), (1 - share).sqrt()
        aim = (sample - added * output) / kept if kind == "epsilon" else kept * sample - added * output
        aim = guide(aim.float()).to(sample)
        rest = (sample - kept * aim) / added
        return step(rest if kind == "epsilon" else kept * rest - added * aim, time, sample, *args, **options)

    scheduler.step = guided_step
    return scheduler


def _load(directory: str) -> Any:
    kind = diffusers_part("StableUnCLIPImg2ImgPipeline")
    if not (Path(directory) / "model_index.json").is_file():
        raise SemcompError(
            f"{directory}: no pipeline found, expected a directory with model_index.json; fetch one, such as "
            "https://huggingface.co/stabilityai/stable-diffusion-2-1-unclip-small, and name its directory"
        )
    try:
        return kind.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise SemcompError(f"{directory}: no readable Stable unCLIP ({str(error).splitlines()[0]})") from None


def _fingerprint(directory: Path, numbers: list[int]) -> bytes:
    """SHA-256 of all weights of a pipeline and of numbers that files depend on."""
    digest = hashlib.sha256(np.array(numbers, "<i8").tobytes())
    for file in sorted([*directory.glob("*/*.safetensors"), *directory.glob("*/*.bin")]):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.digest()

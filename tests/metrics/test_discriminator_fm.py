"""Feature matching as a metric: the loss of each image, under the discriminator of a checkpoint."""

import pytest
import torch

from semcomp_pl import losses
from semcomp_pl.metrics import DiscriminatorFM
from semcomp_pl.metrics.discriminator_fm import discriminator_fm
from semcomp_pl.nets.discriminator import Discriminator


def plain() -> Discriminator:
    """A discriminator that sees images alone."""
    torch.manual_seed(0)
    return Discriminator(4)


def test_is_the_loss_of_each_image() -> None:
    torch.manual_seed(1)
    fake, real = torch.rand(2, 3, 3, 64, 96)
    net = plain()
    each = [losses.feature_matching(net(a[None]), net(b[None])).item() for a, b in zip(fake, real, strict=True)]
    values = discriminator_fm(net(fake), net(real))
    assert values.tolist() == pytest.approx(each, rel=1e-5)
    assert values.mean().item() == pytest.approx(losses.feature_matching(net(fake), net(real)).item(), rel=1e-5)
    assert discriminator_fm(net(fake), net(fake)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_counts_images_of_8_bits(size: int) -> None:
    torch.manual_seed(1)
    fake, real = torch.rand(2, 3, 3, 64, 96).mul(255).round() / 255
    metric, net = DiscriminatorFM(plain()), plain()
    for a, b in zip(fake.split(size), real.split(size), strict=True):
        metric.update(a + 0.4 / 255, b)
    expected = losses.feature_matching(net(fake), net(real)).item()
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)
    assert not metric.state_dict()

"""The list of the suite's own models agrees with the classes that train them."""

import inspect

import pytest

from semcomp_pl import modules
from semcomp_pl.checkpoints.models import CODECS, SEGMENTATION, check_known, codec_model
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules.adversarial import AdversarialCodec
from semcomp_pl.modules.base import CodecModule


def test_every_model_is_listed() -> None:
    kinds = [getattr(modules, name) for name in modules.__all__]
    codecs = [kind.__name__ for kind in kinds if issubclass(kind, CodecModule)]
    assert sorted(codecs) == sorted(CODECS)
    assert {kind.__name__ for kind in kinds} - {*codecs} == {SEGMENTATION}
    assert not any(inspect.isabstract(kind) for kind in kinds)


@pytest.mark.parametrize("name", CODECS)
def test_networks_and_discriminators_are_those_that_are_trained(name: str) -> None:
    kind = getattr(modules, name)
    assert CODECS[name].net is kind.net_type
    assert CODECS[name].discriminator == (kind.condition if issubclass(kind, AdversarialCodec) else None)


def test_names_are_told_apart() -> None:
    assert check_known(SEGMENTATION, "a.ckpt") == SEGMENTATION
    assert codec_model("PlainGAN", "a.ckpt") == CODECS["PlainGAN"]
    with pytest.raises(SemcompError, match=r"a\.ckpt: a Segmentation found, expected a codec"):
        codec_model(SEGMENTATION, "a.ckpt")
    for known in (check_known, codec_model):
        with pytest.raises(
            SemcompError, match=r"a\.ckpt: a model 'Plain' found, expected one of RateDistortion, .*Segm"
        ):
            known("Plain", "a.ckpt")

"""Tiny models and data, made once: they code and are judged in milliseconds."""

from typing import NamedTuple

import pytest

from tests.modules.conftest import Lab, lab

__all__ = ["lab"]


class Files(NamedTuple):
    """Checkpoints."""

    plain: str
    """A RateDistortion."""
    conditional: str
    """A ConditionalGAN."""
    segmenter: str
    judge: str


@pytest.fixture(scope="session")
def files(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Files:
    root = tmp_path_factory.mktemp("models")
    models = {"plain": lab.model("rate_distortion"), "conditional": lab.model("conditional_gan")}
    models["judge"] = lab.model("pspnet", learning_rate=1e-2)
    made = {name: str(lab.checkpoint(model, root / f"{name}.ckpt")) for name, model in models.items()}
    return Files(**made, segmenter=lab.segmenter)

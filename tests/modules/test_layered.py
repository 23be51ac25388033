"""LayeredCodec: its losses, its numbers, and that it learns."""

from typing import Any

import numpy as np
import pytest
import torch

from semcomp_pl import losses
from semcomp_pl.errors import SemcompError
from tests.lab import Distortions, Lab


def test_terms_are_the_weighted_losses(lab: Lab) -> None:
    model, batch = lab.model("layered_codec"), lab.batch("train")
    out = model(batch)
    fake, real = model.discriminate(out.reconstruction, batch), model.discriminate(batch["image"], batch)
    terms = model.generator_terms(batch, out, real, fake)
    expected = {
        "adversarial": losses.least_squares_generator(fake),
        "distortion": 20 * 2 * (out.reconstruction - batch["image"]).abs().mean(),
        "range": torch.zeros(()),
        "feature_matching": 10 * losses.feature_matching(fake, real),
        "structure": losses.structural_dissimilarity(out.reconstruction, batch["image"]),
    }
    assert terms.keys() == expected.keys()
    for term, value in expected.items():
        torch.testing.assert_close(terms[term], value, rtol=1e-6, atol=1e-6)
    assert len(model.discriminator.scales) == 2


def test_a_class_that_only_the_detail_knows_is_drawn(lab: Lab) -> None:
    """The symbols alone do not make the image: the label map does too."""
    net, batch = lab.model("layered_codec").eval().codec, lab.batch()
    with torch.no_grad():
        quantized, _ = net.quantizer(net.analysis(batch["image"], batch["label"]))
        one = net.synthesis(quantized, batch["label"])
        other = net.synthesis(quantized, (batch["label"] + 1) % 4)
    assert not torch.equal(one, other)


def test_training_lowers_the_distortion(lab: Lab) -> None:
    steps = Distortions()
    lab.fit(lab.model("layered_codec", learning_rate=3e-3), 15, [steps], limit_val_batches=0)
    assert np.mean(steps.found[-4:]) < 0.7 * np.mean(steps.found[:4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsamplings": 2}, "downsamplings=2"),
        ({"trunk": "fast"}, "trunk=fast"),
        ({"residual_quality": 101}, "residual_quality=101"),
        ({"thumbnail_psnr": float("nan")}, "thumbnail_psnr=nan"),
    ],
    ids=str,
)
def test_numbers_that_make_no_layers_are_refused(lab: Lab, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SemcompError, match=message):
        lab.model("layered_codec", **options)


@pytest.mark.parametrize("options", [{"channels": 8}, {"levels": 5}], ids=str)
def test_what_a_picture_settles_is_no_argument(lab: Lab, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        lab.model("layered_codec", **options)

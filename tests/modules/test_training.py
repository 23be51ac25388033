"""Every shipped model trains: the same behaviour is asked of all of them."""

import copy
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from semcomp_pl import losses
from semcomp_pl.errors import SemcompError
from semcomp_pl.modules import (
    CoCliCo,
    ConditionalGAN,
    LayeredCodec,
    PlainGAN,
    RateDistortion,
    Segmentation,
    SelectiveGAN,
    SemanticDiscriminatorGAN,
    SemanticDistortionGAN,
)
from tests.lab import (
    ADVERSARIAL,
    CLASSES,
    CODECS,
    CONFIGS,
    GANS,
    HEIGHT,
    LATENTS,
    MODELS,
    SEGMENTERS,
    WIDTH,
    Lab,
    as_exported,
)

SHARED = {"adversarial", "distortion", "range", "feature_matching", "discriminator_real", "discriminator_fake"}
TERMS: dict[type, set[str]] = {
    RateDistortion: {"distortion", "range"},
    **dict.fromkeys((PlainGAN, SemanticDiscriminatorGAN, ConditionalGAN, SelectiveGAN), SHARED),
    SemanticDistortionGAN: SHARED | {"semantic"},
    LayeredCodec: SHARED | {"structure"},
    CoCliCo: {"flow"},
    Segmentation: {"cross_entropy", "auxiliary"},
}
"""Terms of the losses of these classes; their heirs may add others."""
HALVES = {"encoder", "generator"}


def terms_of(name: str, found: set[str]) -> set[str]:
    """The terms that a model should have, with those found that its own class may have added."""
    known = next((TERMS[kind] for kind in MODELS[name].__mro__ if kind in TERMS), set())
    return known if MODELS[name] in TERMS else known | found


def parts(name: str) -> set[str]:
    """The networks that a model trains."""
    own = {"net", "auxiliary"} if name in SEGMENTERS else HALVES
    return own | ({"discriminator"} if name in ADVERSARIAL else set())


def state(model: LightningModule) -> dict[str, Tensor]:
    """Parameters by name, those of the plain network under its own names."""
    parameters = model.named_parameters()
    return {
        name.removeprefix("codec.").removeprefix("segmenter."): value.detach().clone() for name, value in parameters
    }


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, bool]:
    return {name: not torch.equal(before[name], after[name]) for name in before}


@pytest.mark.parametrize("name", CONFIGS)
def test_one_epoch(lab: Lab, name: str) -> None:
    # four levels, none of them 0: an untrained encoder would leave the generator's first layer without a gradient
    model = lab.model(name, **({"levels": 4} if name in LATENTS else {}))
    before = state(model)
    metrics = lab.fit(model).callback_metrics
    terms = {key.removeprefix("train/") for key in metrics if key.startswith("train/")}
    assert terms == terms_of(name, terms) != set()
    seen = {"miou", "accuracy", *(f"iou_{k}" for k in range(len(CLASSES)))}
    judged = {"psnr", "ms_ssim_2", "bpp_bound"} if name in CODECS else seen
    others = {f"val/{key}" for key in judged} | {"learning_rate"}
    assert {key for key in metrics if not key.startswith("train/")} == others
    assert all(value.isfinite() for value in metrics.values())
    kernels = {key: moved for key, moved in changed(before, state(model)).items() if before[key].ndim > 1}
    assert {key.partition(".")[0] for key in kernels} == parts(name)
    assert all(kernels.values())


@pytest.mark.parametrize("name", CONFIGS)
def test_test_reports_what_validation_does(lab: Lab, name: str) -> None:
    """The test split is the validation split here; a segmenter as judge adds mIoU to a codec's figures.

    Validation takes codecs as they are, test codes files with exported weights: equal for a model that has these.
    """
    options = {"judge": lab.segmenter} if name in {"rate_distortion", "plain_gan"} else {}
    model, trainer = lab.model(name, **options), lab.trainer()
    model = as_exported(model) if name in CODECS else model
    (val,) = trainer.validate(model, lab.data(), verbose=False)
    (test,) = trainer.test(model, lab.data(), verbose=False)
    found = {key.removeprefix("test/"): value for key, value in test.items()}
    for key, value in val.items():
        assert found.pop(key.removeprefix("val/")) == pytest.approx(value, rel=1e-6)
    again = (
        {"latent_iou", *(f"latent_iou_{c}" for c in range(model.codec.shape.channels))} if name in LATENTS else set()
    )
    assert found.keys() == ({"bpp", "bpp_payload", "bpp_ideal", *again} if name in CODECS else set())
    assert ("val/miou" in val) is (bool(options) or name in SEGMENTERS)
    if name in CODECS:
        assert val["val/bpp_bound"] == pytest.approx(model.codec.bpp_bound(32, 64), rel=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_predict(lab: Lab, name: str) -> None:
    shape = (32, 64) if name in SEGMENTERS else (3, 32, 64)
    predictions: Any = lab.trainer().predict(lab.model(name), lab.data())
    assert [tuple(batch.shape) for batch in predictions] == [(2, *shape), (1, *shape)]


class Steps(Callback):
    """Which parts each optimiser's steps changed."""

    def __init__(self) -> None:
        self.found: list[tuple[int, set[str]]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.model, self.last = pl_module, state(pl_module)
        for i, optimizer in enumerate(trainer.optimizers):
            optimizer.register_step_post_hook(partial(self.note, i))

    def note(self, optimizer: int, *_: Any) -> None:
        now = state(self.model)
        self.found.append((optimizer, {k.partition(".")[0] for k, moved in changed(self.last, now).items() if moved}))
        self.last = now


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_each_step_moves_its_own_side_only(lab: Lab, name: str) -> None:
    steps = Steps()
    lab.fit(lab.model(name), 1, [steps])
    assert steps.found == [(0, HALVES), (1, {"discriminator"})] * 2


@pytest.mark.parametrize("name", GANS)
@pytest.mark.parametrize("upsampling", ["resize", "transposed"])
def test_paper_trunk_trains(lab: Lab, name: str, upsampling: str) -> None:
    shape = {"filters": 2, "downsamplings": 3, "levels": 4}
    model = lab.model(name, trunk="paper", norm="instance", upsampling=upsampling, **shape)
    before = state(model)
    metrics = lab.fit(model, limit_train_batches=1).callback_metrics
    assert all(value.isfinite() for value in metrics.values())
    assert all(moved for key, moved in changed(before, state(model)).items() if before[key].ndim > 1)


@pytest.mark.parametrize("name", [name for name in GANS if MODELS[name] in TERMS])
def test_terms_are_the_weighted_losses(lab: Lab, name: str) -> None:
    model, batch = lab.model(name, distortion_weight=3.0, feature_matching_weight=7.0), lab.batch("train")
    if name == "semantic_distortion_gan":
        lab.fit(model, limit_train_batches=0)  # loads the segmenter
    out = model(batch)
    fake, real = model.discriminate(out.reconstruction, batch), model.discriminate(batch["image"], batch)
    terms = model.generator_terms(batch, out, real, fake)
    expected = {
        "adversarial": losses.least_squares_generator(fake),
        "distortion": 3 * losses.mse_distortion(out.reconstruction, batch["image"]),
        "range": losses.range_penalty(out.latent, 5),
        "feature_matching": 7 * losses.feature_matching(fake, real),
    }
    for term, value in expected.items():
        torch.testing.assert_close(terms[term], value, rtol=1e-6, atol=1e-6)
    assert terms.keys() - expected.keys() == terms_of(name, {*terms}) - SHARED
    halves = losses.least_squares_discriminator(real, fake)
    for half, value in zip(model.discriminator_loss(real, fake).values(), halves, strict=True):
        torch.testing.assert_close(half, value / 2, rtol=1e-6, atol=1e-6)


def test_feature_matching_can_be_left_out(lab: Lab) -> None:
    model, batch = lab.model("plain_gan", feature_matching_weight=0.0), lab.batch("train")
    assert model.add_gradients(batch).keys() == SHARED - {"feature_matching"}


def test_semantic_term_is_weighted_and_zero_for_the_original(lab: Lab) -> None:
    model, batch = lab.model("semantic_distortion_gan", semantic_weight=4.0), lab.batch("train")
    lab.fit(model, limit_train_batches=0)
    out = model(batch)
    (segmenter,) = model._segmenter
    expected = 4 * losses.semantic_divergence(segmenter.logits(out.reconstruction), segmenter.logits(batch["image"]))
    fake, real = model.discriminate(out.reconstruction, batch), model.discriminate(batch["image"], batch)
    found = model.generator_terms(batch, out, real, fake)["semantic"]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    same = out._replace(reconstruction=batch["image"])
    assert model.generator_terms(batch, same, real, real)["semantic"].abs() < 1e-6
    assert not any("segmenter" in key for key in model.state_dict())
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())


def test_semantic_distances_are_by_option(lab: Lab) -> None:
    batch = lab.batch("train")
    found = {}
    for distance in ("divergence", "cross_entropy", "features"):
        model = lab.model("semantic_distortion_gan", distance=distance)
        lab.fit(model, limit_train_batches=0)
        out = model(batch)
        found[distance] = model.semantic_distance(batch, out.reconstruction)
        (gradient,) = torch.autograd.grad(found[distance], out.reconstruction)
        assert gradient.abs().sum() > 0
    (segmenter,) = model._segmenter
    expected = torch.nn.functional.cross_entropy(segmenter.logits(out.reconstruction), batch["label"], ignore_index=255)
    torch.testing.assert_close(found["cross_entropy"], expected)
    pairs = zip(segmenter.stages(out.reconstruction), segmenter.stages(batch["image"]), strict=True)
    expected = torch.stack([(a - b).square().mean() for a, b in pairs]).mean()
    torch.testing.assert_close(found["features"], expected)
    assert model.semantic_distance(batch, batch["image"]) == 0


@pytest.mark.parametrize("distance", ["divergence", "cross_entropy", "features"])
def test_the_segmenter_sees_each_image_once_at_the_chosen_scale(lab: Lab, distance: str) -> None:
    model, batch = lab.model("semantic_distortion_gan", distance=distance, segmenter_scale=0.75), lab.batch("train")
    lab.fit(model, limit_train_batches=0)
    segmenter = copy.deepcopy(model._segmenter[0])
    segmenter.set_input_size((2 * HEIGHT, 2 * WIDTH))
    seen: list[Tensor] = []
    segmenter.net.encoder.register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    model._segmenter = (segmenter,)
    model.add_gradients(model.prepare(batch))
    sizes = [(tuple(image.shape[-2:]), image.requires_grad) for image in seen]
    padded = (64, 96)  # of 48 x 96, one and a half times the images' own size
    assert sizes == [(padded, grad) for grad in ((True,) if distance == "cross_entropy" else (False, True))]
    assert all(parameter.grad is None for parameter in segmenter.parameters())


@pytest.mark.parametrize("scale", [0.0, 1.5])
def test_scales_that_no_segmenter_reads_at_are_refused(lab: Lab, scale: float) -> None:
    with pytest.raises(SemcompError, match=f"segmenter_scale={scale} found, expected"):
        lab.model("semantic_distortion_gan", segmenter_scale=scale)


def test_only_the_cross_entropy_needs_labels(lab: Lab) -> None:
    unlabelled: Any = {"image": lab.batch("train")["image"]}
    for distance, needs in (("divergence", False), ("features", False), ("cross_entropy", True)):
        model = lab.model("semantic_distortion_gan", distance=distance)
        lab.fit(model, limit_train_batches=0)
        with pytest.raises(SemcompError, match="needs label maps") if needs else nullcontext():
            model.semantic_distance(unlabelled, model(unlabelled).reconstruction)


def test_semantic_distortion_needs_a_segmenter_to_fit_only(lab: Lab) -> None:
    model = lab.model("semantic_distortion_gan", segmenter=None)
    lab.trainer().validate(model, lab.data(), verbose=False)
    with pytest.raises(SemcompError, match=r"needs a segmenter to fit; train one with configs/model/pspnet\.yaml"):
        lab.fit(model)


def test_segmenter_survives_a_batch_of_ignored_pixels(lab: Lab) -> None:
    class AllIgnored(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            batch["label"].fill_(255)

    model = lab.model("pspnet")
    assert lab.fit(model, 1, [AllIgnored()]).callback_metrics["train/cross_entropy"] == 0
    assert all(parameter.isfinite().all() for parameter in model.parameters())

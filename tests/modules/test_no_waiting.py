"""No model's step waits for its device: on the CPU by the operators it calls, on a pretended GPU, and on a real one."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from semcomp_pl.modules.gradients import average_gradients
from semcomp_pl.types import Batch
from tests.lab import ADVERSARIAL, CONFIGS, Lab
from tests.waiting import NoWaiting, Waiting

CULPRITS: list[Callable[[Tensor], Any]] = [
    lambda x: x.max().item(),
    lambda x: float(x[0, 0]),
    lambda x: bool(x.isfinite().all()),
    torch.unique,
    lambda x: x[x > 0],
    lambda x: x.index_put_((x > 0,), x[0, :1]),
    lambda x: x.masked_select(x > 0),
    lambda x: x.nonzero(),
    lambda x: torch.where(x > 0),
    lambda x: torch.equal(x, x),
    lambda x: functional.one_hot(x.long()),
    lambda x: torch.repeat_interleave(x.long()[0]),
]
COPIES: list[Callable[[Tensor], Any]] = [
    lambda x: x.cpu(),
    lambda x: x.tolist(),
    lambda x: x + torch.tensor([1.0, 2.0], device=x.device),
    lambda x: x.copy_(torch.ones(3, 2)),
    lambda x: torch.ones(3, 2).to(x),
]


@pytest.mark.parametrize("culprit", CULPRITS)
def test_what_waits_is_refused(culprit: Callable[[Tensor], Any]) -> None:
    with NoWaiting(), pytest.raises(Waiting):
        culprit(torch.ones(3, 2))


@pytest.mark.parametrize("culprit", [*CULPRITS, *COPIES])
def test_what_waits_is_refused_on_a_pretended_gpu(culprit: Callable[[Tensor], Any]) -> None:
    with FakeTensorMode(), NoWaiting():
        x = torch.ones(3, 2, device="cuda")
        with pytest.raises(Waiting):
            culprit(x)


def ready(lab: Lab, name: str, **options: Any) -> Any:
    """A model with all that it trains with."""
    model = lab.model(name, **options)
    if name == "semantic_distortion_gan":
        lab.fit(model, limit_train_batches=0)  # loads the segmenter
        model._segmenter = copy.deepcopy(model._segmenter)  # which others share
    if name == "coclico":
        lab.fit(model, limit_train_batches=0)  # loads the embedder
    return model.train()


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in CONFIGS),
    ("rate_distortion", {"quantizer_gradient": "straight_through"}),
    ("rate_distortion", {"trunk": "paper", "norm": "instance", "recompute": True}),
    ("conditional_gan", {"label_map": "full"}),
    ("selective_gan", {"regions": "boxes"}),
    ("selective_gan", {"downsamplings": 3}),
    ("semantic_distortion_gan", {"distance": "cross_entropy"}),
    ("semantic_distortion_gan", {"distance": "features"}),
    ("plain_gan", {"discriminator_norm": "channel"}),
    *((name, {"rate_weight": 0.5}) for name in ("rate_distortion", "selective_gan", "layered_codec")),
]
"""Every model, and options that change its step."""
EACH = pytest.mark.parametrize(
    ("name", "options"), [pytest.param(*both, id="-".join(map(str, (both[0], *both[1].values())))) for both in VARIANTS]
)


def step(model: Any, optimizers: list[torch.optim.Optimizer], batch: Batch) -> dict[str, Tensor]:
    """A step, as `ScheduledModule.training_step` makes one, without logging."""
    terms = model.add_gradients(model.prepare(batch))
    for optimizer in optimizers:
        average_gradients(optimizer, 2)
        model.on_before_optimizer_step(optimizer)
        optimizer.step()
    return cast(dict[str, Tensor], terms)


def optimizers_of(model: Any) -> list[torch.optim.Optimizer]:
    found = model.configure_optimizers()
    return found if isinstance(found, list) else [found]


@EACH
def test_no_operator_of_a_step_waits(lab: Lab, name: str, options: dict[str, Any]) -> None:
    model, batch = ready(lab, name, **options), lab.batch("train")
    optimizers = optimizers_of(model)
    for precision in (torch.bfloat16, torch.float32):
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16), NoWaiting():
            terms = step(model, optimizers, batch)
    assert all(value.isfinite() for value in terms.values())


@contextmanager
def pretended(model: Any) -> Iterator[None]:
    """The model on a GPU whose tensors have shapes and no values."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            frozen = getattr(getattr(model, "codec", None), "frozen", {})
            for part in (model, *getattr(model, "_segmenter", ()), *frozen.values()):
                part.to("cuda")
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def losses(model: Any, name: str, batch: Batch) -> dict[str, Tensor]:
    """The forward half of `add_gradients`: the engine of autograd does not know pretended GPUs."""
    if name not in ADVERSARIAL:
        return cast(dict[str, Tensor], model.losses(batch))
    out = model(batch)
    real, fake = (model.discriminate(image, batch) for image in (batch["image"], out.reconstruction))
    terms = {**model.generator_terms(batch, out, real, fake), **model.rate_terms(batch, out)}
    return {**terms, **model.discriminator_loss(real, fake)}


@EACH
def test_no_loss_waits_for_a_pretended_gpu(lab: Lab, name: str, options: dict[str, Any]) -> None:
    model, batch = ready(lab, name, **options), lab.batch("train")
    with pretended(model):
        there: Any = {key: value.to("cuda") for key, value in batch.items() if isinstance(value, Tensor)}
        with NoWaiting():
            terms = losses(model, name, model.prepare(there))
        assert {value.device.type for value in terms.values()} == {"cuda"}


def read(*values: Any) -> None:
    """A hook that waits."""
    values[-1][0].sum().item()


def test_a_model_that_waits_is_found(lab: Lab) -> None:
    model, batch = ready(lab, "plain_gan"), lab.batch("train")
    optimizers = optimizers_of(model)
    for hook in ("forward", "backward"):
        layer: nn.Module = model.codec.generator.body[0]
        register: Any = getattr(layer, "register_forward_hook" if hook == "forward" else "register_full_backward_hook")
        handle = register(read)
        with NoWaiting(), pytest.raises(Waiting):
            step(model, optimizers, batch)
        handle.remove()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@EACH
def test_no_step_waits_for_a_gpu(lab: Lab, name: str, options: dict[str, Any]) -> None:
    model, batch = ready(lab, name, **options), lab.batch("train")
    for part in (model, *getattr(model, "_segmenter", ())):
        part.to("cuda")
    there: Any = {key: value.to("cuda") for key, value in batch.items() if isinstance(value, Tensor)}
    optimizers = optimizers_of(model)
    with torch.autocast("cuda", torch.bfloat16):
        step(model, optimizers, there)  # libraries initialise themselves
        torch.cuda.set_sync_debug_mode("error")
        try:
            terms = step(model, optimizers, there)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert all(value.isfinite() for value in terms.values())

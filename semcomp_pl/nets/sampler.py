"""Sampling of a flow from fixed noise, guided to a map of colours."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semcomp_pl.nets.colour_map import within_steps
from semcomp_pl.nets.extra import diffusers_part
from semcomp_pl.nets.latent_space import to_ycbcr

LOOKS = 4
"""Steps of the sampler from one look at the decoded picture to the next."""


class ColourGuidance:
    """Moves what a flow is heading for to given mean colours.

    In each step, the predicted latent z_0 is moved by the shortest way to the mean colours c of its cells:

        z_0 <- z_0 + s · up(A⁺ (c - colours(z_0)))

    where differences of up to half a step of c's quantiser do not count. So low frequencies follow c and high ones stay
    the flow's. s is the same in all steps: in early ones it places the colours, in late ones it corrects what was drawn
    since. A, the linear map from a cell's mean latent to its mean colour that fits best, gives the direction.
    colours(z_0) is A's too, plus what it was wrong by when z_0 was last decoded and looked at. For pixels A is exact,
    and nothing needs to be decoded.

    Source: after Bordin and Maugey, https://arxiv.org/abs/2404.06865, who guide the low frequencies of a DCT with a
    scale that stays high through all of the sampling.

    Args:
        colours: c: Y, Cb, Cr of each cell, (B, 3, rows, columns).
        weight: A, (3, K).
        bias: What A gives for a latent of zeros, (3,).
        scale: s.
        decode: Images (B, 3, H, W) of latents; if not given, A is exact.
    """

    def __init__(
        self,
        colours: Tensor,
        weight: Tensor,
        bias: Tensor,
        scale: float,
        decode: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.colours, self.weight, self.bias, self.scale, self.decode = colours, weight, bias, scale, decode
        self._inverse = torch.linalg.pinv(weight)
        self._missed: Tensor | float = 0.0
        self._calls = 0

    def __call__(self, latent: Tensor) -> Tensor:
        """The moved z_0, (B, K, h, w), from the predicted one."""
        found = torch.einsum("ck,bkhw->bchw", self.weight, self._means(latent)) + self.bias.view(3, 1, 1)
        if self.decode is not None and self._calls % LOOKS == 0:
            self._missed = self._means(to_ycbcr(self.decode(latent))) - found
        self._calls += 1
        away = within_steps(self.colours - found - self._missed)
        moves = torch.einsum("kc,bchw->bkhw", self._inverse, away)
        smooth = F.interpolate(moves, latent.shape[-2:], mode="bilinear", align_corners=False)
        moved: Tensor = latent + self.scale * smooth
        return moved

    def _means(self, planes: Tensor) -> Tensor:
        rows, columns = self.colours.shape[-2:]
        means: Tensor = F.adaptive_avg_pool2d(planes, (rows, columns))
        return means


def noise(seed: int, *shape: int) -> Tensor:
    """Normal float32 numbers of a shape that are the same on every machine and with every version of a library."""
    bits = np.random.Philox(seed).random_raw(int(np.prod(shape)))  # raw bits are the only part that NumPy promises
    uniform = (torch.from_numpy((bits >> np.uint64(11)).astype(np.float64)) + 0.5) / 2**53
    normal: Tensor = torch.special.ndtri(uniform).float()
    return normal.view(shape)


def sample(
    velocity: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    steps: int,
    guide: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The latent (B, K, h, w) that a flow carries noise to, by Euler's method.

    Args:
        velocity: u of z_t (B, K, h, w) and t (B,).
        start: Noise, (B, K, h, w).
        steps: Number of steps.
        guide: Changes the predicted z_0 in every step, if given.
    """
    scheduler = diffusers_part("FlowMatchEulerDiscreteScheduler")()
    scheduler.set_timesteps(steps, device=start.device)
    latent: Tensor = start
    for step, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1].tolist(), strict=True):
        moved = velocity(latent, torch.full((len(latent),), sigma, device=latent.device))
        if guide is not None:
            moved = (latent - guide(latent - sigma * moved)) / sigma
        latent = scheduler.step(moved, step, latent, return_dict=False)[0]
    return latent

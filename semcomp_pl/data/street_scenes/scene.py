"""One street: a plan, what stands and moves on it, drawn from far to near."""

from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semcomp_pl.data.street_scenes.buildings import skyline
from semcomp_pl.data.street_scenes.canvas import Camera, Canvas, Label
from semcomp_pl.data.street_scenes.layout import furnish
from semcomp_pl.data.street_scenes.shade import shade
from semcomp_pl.data.street_scenes.sky import sky, weather
from semcomp_pl.data.street_scenes.street import lay_ground, street
from semcomp_pl.errors import SemcompError

SMALLEST = 32


class Scene(NamedTuple):
    """A picture and its maps, in Cityscapes' conventions."""

    image: NDArray[np.uint8]
    """RGB (H, W, 3)."""
    label_ids: NDArray[np.uint8]
    """(H, W), Cityscapes label ids 0..33."""
    instance_ids: NDArray[np.uint16]
    """(H, W), label id * 1000 + n for things (label ids 24..33), the label id elsewhere."""


def render(seed: int, size: tuple[int, int]) -> Scene:
    """Draw the street scene of a seed; what it shows does not depend on the size.

    Args:
        seed: Any non-negative integer.
        size: Height and width in pixels, at least 32 each; designed for pictures twice as wide as high.

    Raises:
        SemcompError: a side is shorter than 32 pixels.
    """
    if min(size) < SMALLEST:
        raise SemcompError(f"Street scenes need sides of {SMALLEST} px or more, got {size}: ask for a larger size.")
    rng = Random(seed)
    air, plan = weather(rng), street(rng)
    lane = (plan.half - plan.parking) / 2
    camera = Camera(
        x=lane * rng.uniform(0.55, 1.1) if rng.random() < 0.85 else plan.half + plan.verge + 0.5,
        height=rng.uniform(1.25, 1.75),
        focal=rng.uniform(0.78, 1.08),
        centre=rng.uniform(0.42, 0.58),
        horizon=rng.uniform(0.42, 0.54),
    )
    canvas = Canvas(camera, air.light, sky(camera, air, size, rng))
    skyline(canvas, plan, rng)
    lay_ground(canvas, plan, rng)
    for item in sorted(furnish(plan, air, camera, rng), key=lambda item: -item.distance):
        # each thing has its own random state, so that leaving detail out of one changes no other
        item.draw(canvas, Random(rng.getrandbits(64)))
    if rng.random() < 0.4:
        _bonnet(canvas, rng)
    return Scene(*shade(canvas, air, seed))


def _bonnet(canvas: Canvas, rng: Random) -> None:
    """The bonnet of the car that carries the camera."""
    camera, z = canvas.camera, 1.2
    width, height = z / camera.focal, canvas.size[0] / canvas.size[1] * z / camera.focal
    left, bottom = camera.x - camera.centre * width, camera.height - (1 - camera.horizon) * height
    rise, grey = rng.uniform(0.04, 0.09) * height, rng.uniform(24, 70)
    arch = [(1 - i / 12, rise * (1 - (2 * i / 12 - 1) ** 4 * 0.8)) for i in range(13)]
    points = [(left, bottom - 1, z), (left + width, bottom - 1, z)] + [
        (left + width * s, bottom + t, z) for s, t in arch
    ]
    patch = canvas.face(points, (grey, grey, grey * 1.05), Label.EGO_VEHICLE)
    gleam = [(left + width * s, bottom + t * 0.93, z) for s, t in arch[2:-2]]
    under = [(x, y - rise * 0.14, z) for x, y, z in gleam[::-1]]
    canvas.paint(gleam + under, (grey * 1.7, grey * 1.75, grey * 1.85), patch.light)

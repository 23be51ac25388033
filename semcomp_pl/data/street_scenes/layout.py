"""What stands and moves on one street, and how far away."""

from collections.abc import Callable
from functools import partial
from math import pi
from random import Random
from typing import NamedTuple, Protocol

from semcomp_pl.data.street_scenes import buildings, furniture, people, vehicles
from semcomp_pl.data.street_scenes.canvas import Camera, Canvas
from semcomp_pl.data.street_scenes.sky import Weather
from semcomp_pl.data.street_scenes.street import KERB, Street


class Item(NamedTuple):
    """Something to draw; what is more distant goes first."""

    distance: float
    draw: Callable[[Canvas, Random], None]


class Stand(Protocol):
    """Draws something that stands at a place."""

    def __call__(self, canvas: Canvas, x: float, y: float, z: float, /, *, rng: Random) -> None:
        """Draw it."""


def furnish(plan: Street, air: Weather, camera: Camera, rng: Random) -> list[Item]:
    """Houses, lots, street furniture, traffic and people."""
    return [
        *_lots(plan, air, rng),
        *_kerbside(plan, air, rng),
        *_traffic(plan, air, camera, rng),
        *_crowd(plan, camera, rng),
    ]


def _lots(plan: Street, air: Weather, rng: Random) -> list[Item]:
    """Houses with gaps between them on both sides."""
    items: list[Item] = []
    built = rng.uniform(0.4, 0.95)
    for side in (-1, 1):
        z = rng.uniform(0.7, 4)
        while z < 190:
            end = z + rng.uniform(8, 19)
            if plan.crossing and z < plan.crossing[1] and end > plan.crossing[0] - 3:
                if plan.crossing[0] - 3 - z < 4:
                    z = plan.crossing[1] + 2.5
                    continue
                end = plan.crossing[0] - 3
            items.extend(_lot(plan, air, side, z, end, rng.random() < built, rng))
            z = end + rng.choice((0.0, 0.0, 0.0, 1.5))
    return items


def _lot(plan: Street, air: Weather, side: int, start: float, end: float, built: bool, rng: Random) -> list[Item]:
    if built:
        return [Item(end, lambda canvas, r: buildings.house(canvas, plan, side, start, end, air.lamps, r))]
    # the lawn is drawn before anything that stands on this lot or nearer
    items = [
        Item(end + 0.3, lambda canvas, r: buildings.yard(canvas, plan, side, start, end, r)),
        Item(end - 0.2, lambda canvas, r: buildings.barrier(canvas, plan, side, start, end, r)),
    ]
    autumn = rng.random() < 0.12
    for _ in range(rng.randrange(1, 5)):
        z, offset = rng.uniform(start, end), side * (plan.edge + rng.uniform(2.5, 15))
        if z > 3:
            items.append(_tree(plan, offset, z, rng.uniform(5, 11), autumn, key=end))
    return items


def _tree(plan: Street, offset: float, z: float, tall: float, autumn: bool, key: float | None = None) -> Item:
    x = plan.x(offset, z)
    return Item(z if key is None else key, lambda canvas, r: furniture.tree(canvas, x, KERB, z, tall, autumn, r))


def _kerbside(plan: Street, air: Weather, rng: Random) -> list[Item]:
    """Everything along both kerbs."""
    autumn, posts = rng.random() < 0.15, rng.uniform(17, 26)
    trees = rng.random() < (0.9 if plan.verge else 0.35)
    items: list[Item] = []
    for side in (-1, 1):
        items += _lamp_posts(plan, air, side, posts, rng)
        items += _signs(plan, side, rng)
        items += _clutter(plan, side, rng)
        if trees:
            items += _avenue(plan, side, autumn, rng)
    return items


def _avenue(plan: Street, side: int, autumn: bool, rng: Random) -> list[Item]:
    """A row of trees of nearly the same size, on the verge where there is one."""
    row = side * (plan.half + (plan.verge / 2 if plan.verge else 0.9))
    z, tall = rng.uniform(5, 12), rng.uniform(5, 9)
    items: list[Item] = []
    while z < 110:
        if not plan.blocked(z, 3.5):
            items.append(_tree(plan, row, z, tall * rng.uniform(0.85, 1.15), autumn))
        z += rng.uniform(7, 12)
    return items


def _lamp_posts(plan: Street, air: Weather, side: int, gap: float, rng: Random) -> list[Item]:
    start = rng.uniform(5, 16)
    return [
        _put(
            plan,
            side * (plan.half + 0.55),
            start + i * gap,
            partial(furniture.lamp_post, side=side, lamps=air.lamps),
        )
        for i in range(int((120 - start) / gap) + 1)
        if not plan.blocked(start + i * gap)
    ]


def _put(plan: Street, offset: float, z: float, draw: Stand) -> Item:
    """Something that stands on the pavement."""
    x = plan.x(offset, z)
    return Item(z, lambda canvas, r: draw(canvas, x, KERB, z, rng=r))


def _signs(plan: Street, side: int, rng: Random) -> list[Item]:
    """Traffic signs, and signals before and behind the side road."""
    kerb = side * (plan.half + 0.55)
    zs = [rng.uniform(6, 45) for _ in range(rng.randrange(1, 4))]
    items = [_put(plan, kerb, z, furniture.sign) for z in zs if not plan.blocked(z)]
    if plan.crossing and rng.random() < 0.75:
        for z in (plan.crossing[0] - 0.8, plan.crossing[1] + 0.8):
            items.append(_put(plan, kerb, z, furniture.traffic_light))
    return items


def _clutter(plan: Street, side: int, rng: Random) -> list[Item]:
    """Bollards, a bin, parked bicycles."""
    wanted: list[tuple[float, float, Stand]] = []
    wall = side * (plan.edge - 0.45)
    if rng.random() < 0.3:
        line = side * (plan.half + 0.35)
        wanted += [(line, 7 + 1.7 * i, furniture.bollard) for i in range(rng.randrange(3, 9))]
    if rng.random() < 0.35:
        wanted.append((wall, rng.uniform(6, 28), furniture.litter_bin))
    if rng.random() < 0.45:
        start = rng.uniform(6, 20)
        for i in range(rng.randrange(1, 5)):
            leaning = partial(people.parked_bicycle, turn=rng.uniform(-0.3, 0.3))
            wanted.append((wall - side * 0.6, start + i * 0.7, leaning))
    return [_put(plan, offset, z, draw) for offset, z, draw in wanted if not plan.blocked(z)]


def _traffic(plan: Street, air: Weather, camera: Camera, rng: Random) -> list[Item]:
    """Parked, driving and crossing vehicles, and riders."""
    items: list[Item] = []

    def put(x: float, z: float, heading: float, kind: str, length: float) -> None:
        near = z - length / 2 * abs(1 if abs(heading) in (0.0, pi) else 0.4)
        pose = vehicles.Pose(x, z, heading)
        items.append(
            Item(
                near + 0.5 * abs(x - camera.x),
                lambda canvas, r: vehicles.vehicle(canvas, pose, kind, air.lamps, r),
            )
        )

    lane = (plan.half - plan.parking) / 2
    for side in (-1, 1):
        heading = 0.0 if side > 0 else pi
        z, full = rng.uniform(5, 12), rng.uniform(0.3, 0.9)
        while plan.parking and z < 90:
            if not plan.blocked(z, 4.5) and rng.random() < full:
                put(
                    plan.x(side * (plan.half - 1.05), z),
                    z,
                    rng.choice((heading, heading, pi - heading)),
                    "car",
                    4.4,
                )
            z += rng.uniform(5.0, 6.2)
        z = rng.uniform(8, 30) + (3 if side > 0 else 0)
        while z < 130:
            kind = rng.choices(("car", "truck", "bus", "tram"), (78, 10, 9, 30 if plan.tram else 0))[0]
            length = {"car": 4.5, "truck": 8.0, "bus": 11.3, "tram": 22.8}[kind]
            z += length / 2
            offset = 1.7 if kind == "tram" else lane + (lane / 2 * rng.choice((-1, 1)) if lane > 2.6 else 0)
            if not plan.blocked(z, 1) or kind != "tram":
                put(plan.x(side * offset, z), z, heading, kind, length)
            z += length / 2 + rng.uniform(5, 45)
        if rng.random() < 0.42:
            _ride(items, plan, side, rng)
    if plan.crossing and rng.random() < 0.75:
        for sign in rng.choice(((-1,), (1,), (-1, 1))):
            z = (plan.crossing[0] + plan.crossing[1]) / 2 - sign * 1.6
            kind = rng.choices(("car", "truck", "bus"), (7, 1, 1))[0]
            put(rng.uniform(-9, 9), z, sign * pi / 2, kind, 4.0)
    return items


def _ride(items: list[Item], plan: Street, side: int, rng: Random) -> None:
    """A rider beside the lane, or across the side road."""
    motor = rng.random() < 0.4
    if plan.crossing and rng.random() < 0.5:
        z, x, turn = plan.crossing[0] + 0.7, rng.uniform(-6, 6), rng.choice((0.0, pi))
        items.append(Item(z, lambda c, r: people.rider(c, people.sheet_at(x, 0.0, z, turn), motor, r)))
        return
    z = rng.uniform(7, 24)
    x = plan.x(side * (plan.half - plan.parking - 0.6), z)
    items.append(Item(z, lambda c, r: people.rider_ahead(c, x, z, motor, side > 0, r)))


def _crowd(plan: Street, camera: Camera, rng: Random) -> list[Item]:
    """People on the pavements, some alone, some side by side, and on the zebra crossing."""
    items: list[Item] = []

    def put(x: float, y: float, z: float) -> None:
        if abs(x - camera.x) > 0.9 or z > 7:
            items.append(Item(z, lambda canvas, r: people.pedestrian(canvas, x, y, z, r)))

    for _ in range(rng.randrange(2, 10)):
        z, side = 5 + 45 * rng.random() ** 1.4, rng.choice((-1, 1))
        offset = side * (plan.half + plan.verge + rng.uniform(0.5, max(0.6, plan.pavement - 0.5)))
        if plan.blocked(z):
            continue
        for i in range(rng.choice((1, 1, 1, 2, 3))):
            put(plan.x(offset, z) + i * 0.55, KERB, z + i * 0.1)
    if plan.crossing and rng.random() < 0.5:
        for _ in range(rng.randrange(1, 4)):
            put(rng.uniform(-plan.half, plan.half), 0.0, plan.crossing[0] - rng.uniform(1.2, 3.8))
    return items

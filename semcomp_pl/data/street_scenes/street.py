"""The street's plan and everything that lies on the ground."""

from random import Random
from typing import NamedTuple

from semcomp_pl.data.street_scenes.canvas import (
    ASPHALT,
    COBBLES,
    GRASS,
    NEAR,
    PAVING,
    Canvas,
    Colour,
    Label,
    Material,
    Point,
)

KERB = 0.13
END = 210.0
_STATIONS = [NEAR * (END / NEAR) ** (i / 27) for i in range(28)]
_WHITE: Colour = (226, 226, 220)


class Street(NamedTuple):
    """Cross-section (metres from the middle of the road) and course of the street.

    `half` is half the road's width, `parking` that of a parking lane inside it, `crossing` the z-range of a
    side road, `bend` the curvature. Traffic keeps right.
    """

    half: float
    parking: float
    pavement: float
    verge: float
    bend: float
    crossing: tuple[float, float] | None
    tram: bool

    def x(self, offset: float, z: float) -> float:
        """Where a line parallel to the road's middle runs at this distance."""
        return offset + self.bend * z * z

    @property
    def edge(self) -> float:
        """From the middle of the road to where the lots begin."""
        return self.half + self.verge + self.pavement

    def blocked(self, z: float, margin: float = 1.5) -> bool:
        """Whether this distance is within the side road."""
        return self.crossing is not None and self.crossing[0] - margin < z < self.crossing[1] + margin


def street(rng: Random) -> Street:
    """Draw a plan: from a lane with parked cars to a wide street with trams."""
    parking = rng.choice((0.0, 2.1, 2.1, 2.2))
    lane = rng.uniform(2.9, 3.5) * rng.choice((1, 1, 1, 2))
    start = rng.uniform(11, 30)
    return Street(
        half=lane + parking,
        parking=parking,
        pavement=rng.uniform(2.0, 4.2),
        verge=rng.choice((0.0, 0.0, 1.4, rng.uniform(1.2, 3.0))),
        bend=rng.choice((0.0, rng.uniform(-0.0011, 0.0011))),
        crossing=(start, start + rng.uniform(6.5, 9.0)) if rng.random() < 0.5 else None,
        tram=rng.random() < 0.22,
    )


def lay_ground(canvas: Canvas, plan: Street, rng: Random) -> None:
    """Base, road, verges, pavements with kerbs, the side road and all markings."""
    grey = rng.uniform(82, 108)
    tar = (grey, grey, grey * rng.uniform(0.99, 1.05))
    base = [(-400.0, -0.02, NEAR), (400.0, -0.02, NEAR), (400.0, -0.02, 480.0), (-400.0, -0.02, 480.0)]
    canvas.face(base, (104, 118, 74), Label.TERRAIN, GRASS)
    slab, paving = rng.choice(
        (
            ((158, 154, 148), PAVING),
            ((148, 140, 134), COBBLES),
            ((168, 158, 146), PAVING),
            ((136, 136, 138), ASPHALT),
        )
    )
    for side in (-1, 1):
        for start, end in _between(plan):
            _side(canvas, plan, side, start, end, slab, paving)
    if plan.crossing:
        z0, z1 = plan.crossing
        across = [(-90.0, 0.0, z0), (90.0, 0.0, z0), (90.0, 0.0, z1), (-90.0, 0.0, z1)]
        canvas.face(across, tar, Label.ROAD, ASPHALT)
    road = canvas.face(_strip(plan, -plan.half, plan.half, NEAR, END), tar, Label.ROAD, ASPHALT)
    _wear(canvas, plan, tar, road.light, rng)
    _markings(canvas, plan, road.light, rng)


def _between(plan: Street) -> list[tuple[float, float]]:
    """The stretches that the side road leaves."""
    return [(NEAR, plan.crossing[0]), (plan.crossing[1], END)] if plan.crossing else [(NEAR, END)]


def _strip(plan: Street, left: float, right: float, start: float, end: float, y: float = 0.0) -> list[Point]:
    """A ribbon that follows the street."""
    zs = [start, *(z for z in _STATIONS if start < z < end), end]
    there = [(plan.x(right, z), y, z) for z in zs]
    return [(plan.x(left, z), y, z) for z in zs[::-1]] + there


def _side(canvas: Canvas, plan: Street, side: int, start: float, end: float, slab: Colour, paving: Material) -> None:
    """Verge, pavement and kerb of one side."""
    inner, middle, outer = side * plan.half, side * (plan.half + plan.verge), side * plan.edge
    if plan.verge:
        canvas.face(_strip(plan, inner, middle, start, end, KERB), (96, 120, 66), Label.TERRAIN, GRASS)
    yard = _strip(plan, outer, outer + side * 14, start, end, KERB)
    canvas.face(yard, (92, 112, 66), Label.TERRAIN, GRASS)
    patch = canvas.face(_strip(plan, middle, outer, start, end, KERB), slab, Label.SIDEWALK, paving)
    stone = (176, 174, 168)
    canvas.fill(_strip(plan, inner, inner + side * 0.14, start, end, KERB), stone, patch)
    zs = [start, *(z for z in _STATIONS if start < z < end), end]
    low = [(plan.x(inner, z), 0.0, z) for z in zs]
    high = [(plan.x(inner, z), KERB, z) for z in zs[::-1]]
    canvas.fill(low + high, (120, 118, 114), patch)
    if plan.crossing and start == plan.crossing[1]:
        canvas.fill([low[0], (outer, 0.0, start), (outer, KERB, start), high[-1]], (128, 126, 122), patch)


def _wear(canvas: Canvas, plan: Street, tar: Colour, light: float, rng: Random) -> None:
    """Repairs, seams, manhole covers: a little darker or lighter than the rest."""
    for _ in range(rng.randrange(2, 6)):
        left, z, shade = (
            rng.uniform(-plan.half, plan.half - 1),
            3 + 45 * rng.random() ** 2,
            rng.uniform(0.86, 1.08),
        )
        right, far = left + rng.uniform(0.5, 1.6), z + rng.uniform(1.5, 14)
        colour = (tar[0] * shade, tar[1] * shade, tar[2] * shade)
        canvas.paint(_strip(plan, left, right, z, far), colour, light)
    for _ in range(rng.randrange(0, 3)):
        x, z = rng.uniform(-plan.half * 0.6, plan.half * 0.6), rng.uniform(4, 25)
        x = plan.x(x, z)
        lid = [(x + 0.34 * a, 0.0, z + 0.34 * b) for a, b in _CIRCLE]
        canvas.paint(lid, (64, 62, 60), light)


_CIRCLE = [(1, 0), (0.71, 0.71), (0, 1), (-0.71, 0.71), (-1, 0), (-0.71, -0.71), (0, -1), (0.71, -0.71)]


def _markings(canvas: Canvas, plan: Street, light: float, rng: Random) -> None:
    """Middle line, lane and parking lines, tram rails, zebra crossing and stop line."""
    shade = light * rng.uniform(0.82, 1.0)

    def line(offset: float, start: float, end: float, width: float = 0.13, colour: Colour = _WHITE) -> None:
        canvas.paint(_strip(plan, offset - width / 2, offset + width / 2, start, end), colour, shade)

    def dashes(offset: float, length: float, gap: float) -> None:
        z = rng.uniform(1, 3)
        while z < 95:
            if not plan.blocked(z, 3) and not plan.blocked(z + length, 3):
                line(offset, z, z + length)
            z += length + gap

    drive = plan.half - plan.parking
    for start, end in _between(plan):
        first, last = start, end - (4.6 if plan.crossing and end == plan.crossing[0] else 0)
        if plan.parking and last - first > 2:
            for side in (-1, 1):
                line(side * drive, first, last, 0.11)
        if plan.tram:
            for rail in (-2.4, -0.95, 0.95, 2.4):
                line(rail, start, end, 0.09, (70, 66, 64))
    if rng.random() < 0.8:
        dashes(0.0, *rng.choice(((3.0, 6.0), (4.0, 4.0), (6.0, 3.0))))
    if drive > 5:
        for side in (-1, 1):
            dashes(side * drive / 2, 3.0, 6.0)
    zebra = plan.crossing[0] - 4.2 if plan.crossing else rng.uniform(9, 26)
    if (plan.crossing and rng.random() < 0.75) or rng.random() < 0.2:
        stripes = int(plan.half / 0.5)
        for i in range(-stripes, stripes, 2):
            line(i * 0.5 + 0.5, zebra, zebra + 3.4, 0.5)
    if plan.crossing:
        canvas.paint(_strip(plan, 0.1, drive - 0.1, zebra - 1.3, zebra - 0.85), _WHITE, shade)

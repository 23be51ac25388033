"""Cars, vans, lorries, buses and trams: a side view, extruded, with panes, lamps and wheels."""

from itertools import pairwise
from math import cos, sin
from random import Random
from typing import NamedTuple

from semcomp_pl.data.street_scenes.canvas import METAL, Canvas, Colour, Flat, Label, Patch, Plane, Point
from semcomp_pl.data.street_scenes.shapes import (
    BUS,
    CAB,
    CARGO,
    ESTATE,
    HATCHBACK,
    SALOON,
    TRAM,
    VAN,
    Shape,
)

_PAINTS: tuple[Colour, ...] = (
    (206, 208, 210), (168, 172, 176), (62, 64, 68), (40, 42, 46), (150, 36, 34), (44, 68, 118),
    (118, 124, 132), (220, 220, 216), (72, 88, 80), (178, 160, 128), (94, 30, 36), (84, 112, 146),
)  # fmt: skip
_GLASS: Colour = (48, 56, 64)
_SKY: Colour = (190, 202, 216)
_TYRE: Colour = (26, 26, 28)


class Pose(NamedTuple):
    """Where a vehicle stands; heading 0 drives away from the camera, positive turns right."""

    x: float
    z: float
    heading: float

    def at(self, along: float, height: float, aside: float) -> Point:
        """Vehicle to scene coordinates; `aside` is positive to the vehicle's right."""
        c, s = cos(self.heading), sin(self.heading)
        return self.x + along * s + aside * c, height, self.z + along * c - aside * s


def vehicle(canvas: Canvas, pose: Pose, kind: str, lamps: float, rng: Random) -> None:
    """Draw a vehicle: "car", "truck", "bus" or "tram"."""
    paint = rng.choice(_PAINTS)
    if kind == "truck":
        box: Colour = rng.choice(((214, 214, 210), (188, 60, 48), (70, 104, 150), (206, 178, 92)))
        parts = [(CARGO, box), (CAB, paint)]
        instance = canvas.instance(Label.TRUCK)
        # the part whose middle is farther away goes first
        parts.sort(key=lambda part: -pose.at(3.0 if part[0] is CAB else -1.0, 1, 0)[2])
        for shape, colour in parts:
            _draw(canvas, pose, shape, colour, instance, lamps)
        return
    if kind == "bus":
        shape, paint = (
            BUS,
            rng.choice(((196, 54, 44), (226, 196, 74), (60, 98, 158), (220, 220, 214), (58, 128, 92))),
        )
    elif kind == "tram":
        shape, paint = TRAM, rng.choice(((204, 48, 44), (228, 206, 100), (214, 216, 214), (58, 110, 92)))
    else:
        shape = rng.choice((SALOON, SALOON, HATCHBACK, HATCHBACK, ESTATE, ESTATE, VAN))
    _draw(canvas, pose, shape, paint, canvas.instance(shape.label), lamps)


def _draw(canvas: Canvas, pose: Pose, shape: Shape, paint: Colour, instance: int, lamps: float) -> None:
    outline = shape.outline
    rear, front, top = outline[0][0], outline[-1][0], max(h for _, h in outline)
    half = shape.width / 2
    canvas.cast([pose.at(a, h, w) for a in (rear, front) for h in (0.0, top * 0.9) for w in (-half, half)])
    foot = [
        pose.at(a, 0.0, w)
        for a, w in ((rear - 0.1, -half), (front + 0.1, -half), (front + 0.1, half), (rear - 0.1, half))
    ]
    canvas.shadows.append((190, foot))
    _underside(canvas, pose, shape, instance)
    patches: dict[int, Patch] = {}
    for i, ((a0, h0), (a1, h1)) in enumerate(pairwise(outline)):
        w0, w1 = _half(shape, h0), _half(shape, h1)
        quad = [pose.at(a0, h0, -w0), pose.at(a0, h0, w0), pose.at(a1, h1, w1), pose.at(a1, h1, -w1)]
        normal = pose._replace(x=0.0, z=0.0).at(h0 - h1, a1 - a0, 0.0)
        if canvas.faces(quad[0], normal):
            mirrored = 0.3 if abs(h1 - h0) < 0.3 * abs(a1 - a0) else 0.06  # roof and bonnet reflect the sky
            gloss = tuple(c + mirrored * (s - c) for c, s in zip(paint, _SKY, strict=True))
            patches[i] = canvas.face(quad, (gloss[0], gloss[1], gloss[2]), shape.label, METAL, instance)
    for i, patch in patches.items():
        if i in (shape.rear_glass, shape.front_glass):
            _windscreen(canvas, pose, shape, i, patch.light)
    _ends(canvas, pose, shape, patches, lamps)
    for side in (-1, 1):
        across = pose._replace(x=0.0, z=0.0).at(0, 0, side)
        if canvas.faces(pose.at(0, 1, side * half), across):
            _flank(canvas, pose, shape, side, paint, instance)


def _half(shape: Shape, height: float) -> float:
    """Half the body's width at this height."""
    return shape.width / 2 * (1 - shape.lean * max(0.0, height - shape.belt) / 0.55)


def _underside(canvas: Canvas, pose: Pose, shape: Shape, instance: int) -> None:
    """Dark block between the wheels, and tyres seen from the ends."""
    low, half = shape.outline[0][1] + 0.03, shape.width / 2
    ends = shape.outline[0][0] + 0.25, shape.outline[-1][0] - 0.25
    for along in sorted(ends, key=lambda a: -pose.at(a, 0, 0)[2]):
        block = [
            pose.at(along, h, w)
            for h, w in (
                (low * 0.5, -half * 0.9),
                (low * 0.5, half * 0.9),
                (low, half * 0.9),
                (low, -half * 0.9),
            )
        ]
        canvas.face(block, (22, 22, 24), shape.label, METAL, instance)
        if shape.wheels:
            for w in (-half * 0.98, half * 0.98 - 0.22):
                tyre = [pose.at(along, h, v) for h, v in ((0, w), (0, w + 0.22), (low, w + 0.22), (low, w))]
                canvas.face(tyre, _TYRE, shape.label, METAL, instance)


def _windscreen(canvas: Canvas, pose: Pose, shape: Shape, edge: int, light: float) -> None:
    (a0, h0), (a1, h1) = shape.outline[edge], shape.outline[edge + 1]

    def at(t: float, inset: float) -> tuple[Point, Point]:
        a, h = a0 + t * (a1 - a0), h0 + t * (h1 - h0)
        w = _half(shape, h) - inset
        return pose.at(a, h, -w), pose.at(a, h, w)

    (p, q), (r, s), (m, n) = at(0.1, 0.1), at(0.92, 0.12), at(0.55, 0.11)
    canvas.paint([p, q, s, r], _GLASS, light)
    upper = [m, n, s, r] if h1 > h0 else [p, q, n, m]
    canvas.paint(upper, (92, 106, 120), light)


def _ends(canvas: Canvas, pose: Pose, shape: Shape, patches: dict[int, Patch], lamps: float) -> None:
    """Lamps, number plates and bumpers."""
    last = len(shape.outline) - 2
    for edge, is_rear in ((0, True), (last, False)):
        if edge not in patches or (shape is CARGO and not is_rear) or (shape is CAB and is_rear):
            continue
        light, half = patches[edge].light, shape.width / 2
        second = shape.outline[1 if is_rear else -2]
        along, low, high = second[0], shape.outline[0][1], max(second[1], 0.62)
        high = min(high, 1.25)

        def quad(left: float, bottom: float, right: float, top: float, at: float = along) -> list[Point]:
            return [pose.at(at, h, w) for h, w in ((bottom, left), (bottom, right), (top, right), (top, left))]

        canvas.paint(quad(-half, low, half, low + 0.16), (44, 44, 46), light)
        canvas.paint(quad(-0.26, low + 0.18, 0.26, low + 0.3), (222, 222, 214), light)
        lamp: Colour = (196, 32, 28) if is_rear else (236, 234, 220)
        glow = max(light, 1.25) if lamps > 0.4 else light * 1.05
        tall = 0.2 if is_rear else 0.15
        for s in (-1, 1):
            left, right = sorted((s * half * 0.97, s * half * 0.66))
            canvas.paint(quad(left, high - tall, right, high), lamp, glow)
        if not is_rear:
            canvas.paint(quad(-half * 0.5, high - 0.2, half * 0.5, high - 0.06), (30, 30, 32), light)
        if is_rear and shape is CARGO:
            canvas.paint(quad(-0.02, 1.25, 0.02, 3.4), (90, 90, 90), light)


def _flank(canvas: Canvas, pose: Pose, shape: Shape, side: int, paint: Colour, instance: int) -> None:
    """The side towards the camera: body, gleam, shade below, windows, wheels."""

    def at(points: list[Flat] | tuple[Flat, ...]) -> list[Point]:
        return [pose.at(a, h, side * _half(shape, h)) for a, h in points]

    patch = canvas.face(at(shape.outline), paint, shape.label, METAL, instance)
    rear, front, low = shape.outline[0][0], shape.outline[-1][0], shape.outline[0][1]
    sill = [(rear, low), (front, low), (front, low + 0.14), (rear, low + 0.14)]
    canvas.paint(at(sill), _times(paint, 0.55), patch.light)
    belt = min(shape.belt, 1.25) - 0.08
    lower = [(rear, low + 0.14), (front, low + 0.14), (front, (low + belt) / 2), (rear, (low + belt) / 2)]
    canvas.paint(at(lower), _times(paint, 0.84), patch.light)
    crease = [
        (rear + 0.1, belt),
        (front - 0.2, belt - 0.06),
        (front - 0.2, belt - 0.02),
        (rear + 0.1, belt + 0.05),
    ]
    canvas.paint(at(crease), _times(paint, 1.2), patch.light)
    for pane in shape.windows:
        canvas.paint(at(pane), _GLASS, patch.light)
        seam, top = pane[3][0] + 0.05, pane[3][1]
        door = [(seam, low + 0.14), (seam + 0.03, low + 0.14), (seam + 0.03, top), (seam, top)]
        canvas.paint(at(door), _times(paint, 0.55), patch.light)
        _, (b, g), (c, f), _ = pane
        canvas.paint(
            at([(b, g), (b, g - 0.1), (c, f - 0.1), (c, f)]),
            (92, 106, 120),
            patch.light,
        )
    c, s = cos(pose.heading), sin(pose.heading)
    sheet = Plane(pose.at(0, 0, side * (shape.width / 2 + 0.01)), (s, 0.0, c))
    for wheel in shape.wheels:
        r = shape.radius
        canvas.paint(sheet.oval(wheel, r + 0.02, r * 1.16, r * 1.1), (22, 22, 24), patch.light)
        canvas.fill(sheet.oval(wheel, r, r, r), _TYRE, patch)
        canvas.paint(sheet.oval(wheel, r, r * 0.6, r * 0.6), (146, 148, 150), patch.light)
        canvas.paint(sheet.oval(wheel, r, r * 0.2, r * 0.2, 6), (70, 70, 72), patch.light)


def _times(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor

"""People on foot, on bicycles and on motorcycles: limbs on upright sheets."""

from math import cos, sin
from random import Random
from typing import NamedTuple

from semcomp_pl.data.street_scenes.canvas import CLOTH, METAL, Canvas, Colour, Flat, Label, Patch, Plane

_SKIN: tuple[Colour, ...] = ((224, 178, 150), (206, 158, 128), (166, 116, 86), (116, 78, 58), (232, 192, 166))
_HAIR: tuple[Colour, ...] = ((40, 30, 26), (88, 60, 40), (150, 116, 70), (120, 116, 112), (28, 26, 28))
_COATS: tuple[Colour, ...] = (
    (46, 50, 64), (120, 34, 38), (66, 82, 66), (172, 158, 132), (36, 38, 42), (70, 98, 144), (196, 176, 84),
    (150, 148, 150), (104, 72, 96), (210, 206, 200),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = ((42, 48, 66), (36, 36, 40), (88, 82, 74), (64, 78, 104), (112, 98, 78))


class Looks(NamedTuple):
    """Colours of one person."""

    skin: Colour
    hair: Colour
    coat: Colour
    trousers: Colour


def looks(rng: Random) -> Looks:
    """Dress somebody."""
    return Looks(rng.choice(_SKIN), rng.choice(_HAIR), rng.choice(_COATS), rng.choice(_TROUSERS))


def sheet_at(x: float, y: float, z: float, turn: float = 0.0) -> Plane:
    """An upright sheet; turn 0 faces the camera, pi/2 stands along the street."""
    return Plane((x, y, z), (cos(turn), 0.0, sin(turn)))


def _dark(colour: Colour, factor: float = 0.75) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def pedestrian(canvas: Canvas, x: float, y: float, z: float, rng: Random) -> None:
    """Somebody who stands or walks, 1.2 to 1.9 m tall."""
    k = rng.uniform(0.9, 1.06) * (0.72 if rng.random() < 0.08 else 1.0)
    sheet = Plane((x, y, z), (k * rng.choice((-1, 1)), 0.0, 0.0), (0.0, k, 0.0))
    who, stride, skirt = looks(rng), rng.uniform(0.02, 0.36), rng.random() < 0.2
    patch = canvas.patch(sheet.box(-0.3, 0, 0.3, 1.7), Label.PERSON, CLOTH, canvas.instance(Label.PERSON))
    canvas.cast(sheet.box(-0.22, 0, 0.22, 1.7))
    canvas.shadows.append((140, [(x + a * 0.34, y, z + b * 0.2) for a, b in _ROUND]))
    legs = who.skin if skirt else who.trousers
    swing = rng.uniform(0.4, 1.0) * stride
    for sign, shade in ((-1, 0.72), (1, 1.0)):  # the far limbs first
        knee, foot = (sign * stride * 0.5 + 0.03, 0.48), (sign * stride - (0.06 if sign < 0 else 0), 0.07)
        canvas.fill(sheet.bar((sign * 0.05, 0.92), knee, 0.2, 0.15), _dark(legs, shade), patch)
        canvas.fill(sheet.bar(knee, foot, 0.15, 0.1), _dark(legs, shade), patch)
        canvas.fill(sheet.bar((foot[0] - 0.06, 0.04), (foot[0] + 0.16, 0.035), 0.09, 0.07), (34, 30, 30), patch)
    _arm(canvas, sheet, (-0.14, 1.4), (-0.2 - swing * 0.4, 1.12), (-0.16 - swing * 0.2, 0.86), who, patch, 0.72)
    body: list[Flat] = [
        (-0.17, 0.84),
        (0.17, 0.84),
        (0.19, 1.1),
        (0.23, 1.38),
        (0.12, 1.48),
        (-0.12, 1.48),
        (-0.23, 1.38),
        (-0.19, 1.1),
    ]
    if skirt:
        body[:2] = [(-0.27, 0.58), (0.27, 0.58)]
    canvas.fill(sheet.at(body), who.coat, patch)
    canvas.paint(
        sheet.at([(-0.17, 0.86), (-0.06, 0.86), (-0.09, 1.44), (-0.22, 1.38)]),
        _dark(who.coat, 0.84),
        patch.light,
    )
    _arm(canvas, sheet, (0.16, 1.4), (0.21 + swing * 0.4, 1.13), (0.18 + swing * 0.7, 0.88), who, patch, 0.9)
    if rng.random() < 0.35:
        canvas.fill(sheet.box(0.16, 0.68, 0.38, 0.98), rng.choice(_COATS), patch)
    head(canvas, sheet, (0.0, 1.61), who, patch)


_ROUND = [(1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7)]


def head(canvas: Canvas, sheet: Plane, at: Flat, who: Looks, patch: Patch, helmet: Colour | None = None) -> None:
    """Neck, head and hair or helmet."""
    s, t = at
    canvas.fill(sheet.box(s - 0.05, t - 0.17, s + 0.05, t - 0.05), _dark(who.skin), patch)
    canvas.fill(sheet.oval(s, t, 0.09, 0.125), who.skin, patch)
    cap = [
        (s - 0.1, t - 0.02),
        (s + 0.1, t + 0.03),
        (s + 0.09, t + 0.11),
        (s, t + 0.155),
        (s - 0.09, t + 0.11),
    ]
    canvas.fill(sheet.at(cap) if helmet is None else sheet.oval(s, t + 0.04, 0.125, 0.13), helmet or who.hair, patch)


def _arm(
    canvas: Canvas,
    sheet: Plane,
    shoulder: Flat,
    elbow: Flat,
    hand: Flat,
    who: Looks,
    patch: Patch,
    shade: float,
) -> None:
    canvas.fill(sheet.bar(shoulder, elbow, 0.12, 0.1), _dark(who.coat, shade), patch)
    canvas.fill(sheet.bar(elbow, hand, 0.1, 0.08), _dark(who.coat, shade), patch)
    canvas.fill(sheet.oval(*hand, 0.05, 0.055, 8), _dark(who.skin, shade), patch)


def bicycle(canvas: Canvas, sheet: Plane, rng: Random) -> None:
    """A bicycle from its side, front to the right; what is seen between spokes counts as bicycle."""
    patch = canvas.patch(sheet.box(-0.9, 0, 0.9, 1), Label.BICYCLE, METAL, canvas.instance(Label.BICYCLE))
    canvas.cast(sheet.box(-0.8, 0, 0.8, 0.7), 90)
    frame = rng.choice(((150, 36, 34), (38, 40, 44), (52, 90, 140), (196, 196, 192), (62, 110, 78)))
    for s in (-0.54, 0.54):
        _tyre(canvas, sheet, s, 0.34, 0.34, 0.045, patch)
    crank, seat, steer = (-0.08, 0.32), (-0.22, 0.84), (0.4, 0.82)
    for a, b in (
        (crank, seat),
        (seat, steer),
        (crank, steer),
        (crank, (-0.54, 0.34)),
        ((-0.54, 0.34), seat),
        ((0.54, 0.34), (0.37, 0.98)),
    ):
        canvas.fill(sheet.bar(a, b, 0.05), frame, patch)
    canvas.fill(sheet.bar((-0.36, 0.93), (-0.1, 0.93), 0.09), (30, 28, 28), patch)
    canvas.fill(sheet.bar(seat, (-0.24, 0.92), 0.04), frame, patch)
    canvas.fill(sheet.bar((0.28, 1.04), (0.46, 0.98), 0.05), (40, 40, 42), patch)


def parked_bicycle(canvas: Canvas, x: float, y: float, z: float, *, turn: float, rng: Random) -> None:
    """A bicycle that leans somewhere on the pavement."""
    bicycle(canvas, sheet_at(x, y, z, turn), rng)


def _tyre(canvas: Canvas, sheet: Plane, s: float, t: float, radius: float, thick: float, patch: Patch) -> None:
    """A ring; only its colour is drawn on what is behind, its whole disc belongs to the wheel."""
    outer, inner = sheet.oval(s, t, radius, radius, 14), sheet.oval(s, t, radius - thick, radius - thick, 14)
    canvas.mark(outer, patch)
    canvas.paint([*outer, outer[0], inner[0], *inner[::-1]], (28, 28, 30), patch.light)
    for a in (0.3, 1.35, 2.4):
        c, d = radius * cos(a), radius * sin(a)
        canvas.paint(sheet.bar((s - c, t - d), (s + c, t + d), 0.012), (120, 120, 120), patch.light)


def motorcycle(canvas: Canvas, sheet: Plane, rng: Random) -> None:
    """A motorcycle from its side, front to the right."""
    patch = canvas.patch(sheet.box(-1, 0, 1, 1), Label.MOTORCYCLE, METAL, canvas.instance(Label.MOTORCYCLE))
    canvas.cast(sheet.box(-1, 0, 1, 0.9))
    paint = rng.choice(((160, 34, 30), (34, 36, 40), (40, 76, 140), (206, 206, 202), (190, 120, 36)))
    for s in (-0.68, 0.72):
        canvas.fill(sheet.oval(s, 0.31, 0.31, 0.31), (26, 26, 28), patch)
        canvas.paint(sheet.oval(s, 0.31, 0.17, 0.17), (120, 122, 124), patch.light)
    canvas.fill(sheet.at([(-0.35, 0.25), (0.3, 0.22), (0.36, 0.6), (-0.4, 0.62)]), (58, 58, 62), patch)
    canvas.fill(sheet.bar((0.72, 0.31), (0.42, 0.98), 0.09), (140, 140, 142), patch)
    canvas.fill(sheet.at([(-0.1, 0.62), (0.46, 0.62), (0.42, 0.9), (0.1, 0.95), (-0.1, 0.8)]), paint, patch)
    canvas.fill(sheet.at([(-0.95, 0.72), (-0.85, 0.84), (-0.05, 0.82), (-0.05, 0.68)]), (30, 28, 28), patch)
    canvas.fill(sheet.at([(-0.9, 0.62), (-0.3, 0.6), (-0.2, 0.74), (-0.9, 0.76)]), paint, patch)
    canvas.fill(sheet.bar((-0.9, 0.36), (-0.1, 0.3), 0.09), (150, 150, 152), patch)
    canvas.fill(sheet.bar((0.28, 1.04), (0.5, 0.98), 0.06), (40, 40, 42), patch)
    canvas.fill(sheet.oval(0.55, 0.86, 0.1, 0.1, 8), (220, 218, 206), patch)


def rider(canvas: Canvas, sheet: Plane, motor: bool, rng: Random) -> None:
    """Somebody riding past, seen from the side."""
    (motorcycle if motor else bicycle)(canvas, sheet, rng)
    who = looks(rng)
    patch = canvas.patch(sheet.box(-0.4, 0, 0.4, 1), Label.RIDER, CLOTH, canvas.instance(Label.RIDER))
    hip = (-0.2, 0.95) if not motor else (-0.25, 0.88)
    foot, shoulder = ((-0.02, 0.2) if not motor else (0.1, 0.32)), (0.06, 1.44 if not motor else 1.36)
    canvas.fill(sheet.bar(hip, (0.16, 0.62), 0.19, 0.14), who.trousers, patch)
    canvas.fill(sheet.bar((0.16, 0.64), foot, 0.14, 0.1), who.trousers, patch)
    canvas.fill(sheet.bar((foot[0] - 0.06, foot[1]), (foot[0] + 0.15, foot[1] - 0.02), 0.09), (34, 30, 30), patch)
    canvas.fill(sheet.bar((hip[0], hip[1] - 0.06), shoulder, 0.27, 0.3), who.coat, patch)
    canvas.fill(sheet.bar(shoulder, (0.24, 1.16), 0.13, 0.1), _dark(who.coat, 0.85), patch)
    canvas.fill(sheet.bar((0.24, 1.16), (0.4, 1.05), 0.1, 0.08), _dark(who.coat, 0.85), patch)
    helmet = rng.choice(_COATS) if motor or rng.random() < 0.6 else None
    head(canvas, sheet, (shoulder[0] + 0.1, shoulder[1] + 0.2), who, patch, helmet)


def rider_ahead(canvas: Canvas, x: float, z: float, motor: bool, away: bool, rng: Random) -> None:
    """Somebody riding away from the camera or towards it."""
    sheet, who = sheet_at(x, 0.0, z), looks(rng)
    label = Label.MOTORCYCLE if motor else Label.BICYCLE
    machine = canvas.patch(sheet.box(-0.3, 0, 0.3, 1), label, METAL, canvas.instance(label))
    patch = canvas.patch(sheet.box(-0.3, 0, 0.3, 1), Label.RIDER, CLOTH, canvas.instance(Label.RIDER))
    canvas.cast(sheet.box(-0.25, 0, 0.25, 1.7))
    canvas.shadows.append((150, [(x + a * 0.3, 0.0, z + b * 0.7) for a, b in _ROUND]))
    wide = 0.09 if motor else 0.035
    canvas.fill(sheet.oval(0, 0.34, wide, 0.34, 10), (28, 28, 30), machine)
    canvas.fill(sheet.bar((0, 0.6), (0, 1.0), wide * 2.2), (90, 92, 96) if not motor else rng.choice(_COATS), machine)
    if motor:
        canvas.fill(sheet.at([(-0.2, 0.5), (0.2, 0.5), (0.16, 0.95), (-0.16, 0.95)]), rng.choice(_COATS), machine)
    for s in (-1, 1):
        canvas.fill(
            sheet.bar((s * 0.11, 0.95), (s * 0.19, 0.58), 0.18, 0.14),
            _dark(who.trousers, 0.9 + 0.1 * s),
            patch,
        )
        canvas.fill(sheet.bar((s * 0.19, 0.58), (s * 0.13, 0.24 + 0.06 * s), 0.14, 0.1), who.trousers, patch)
    canvas.fill(
        sheet.at([(-0.17, 0.88), (0.17, 0.88), (0.24, 1.36), (0.12, 1.48), (-0.12, 1.48), (-0.24, 1.36)]),
        who.coat,
        patch,
    )
    for s in (-1, 1):
        canvas.fill(sheet.bar((s * 0.2, 1.38), (s * 0.34, 1.12), 0.12, 0.09), _dark(who.coat, 0.85), patch)
    canvas.fill(sheet.bar((-0.34, 1.08), (0.34, 1.08), 0.05), (44, 44, 46), machine)
    canvas.fill(
        sheet.oval(0, 0.78 if away else 0.92, 0.05, 0.05, 8),
        (190, 34, 30) if away else (240, 236, 214),
        machine,
    )
    helmet = rng.choice(_COATS) if motor or away or rng.random() < 0.5 else None
    head(canvas, sheet, (0.0, 1.63), who, patch, helmet)

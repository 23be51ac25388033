"""Trees, lamp posts, traffic lights, signs, bollards and bins."""

from math import cos, pi, sin
from random import Random

from semcomp_pl.data.street_scenes.canvas import CLOTH, LEAVES, METAL, Canvas, Colour, Label, Plane

_GREENS: tuple[Colour, ...] = ((66, 92, 44), (80, 104, 50), (58, 84, 52), (94, 108, 52), (76, 96, 60))
_AUTUMN: tuple[Colour, ...] = ((150, 112, 44), (142, 84, 40), (124, 116, 52))
_STEEL: Colour = (112, 116, 118)


def tree(canvas: Canvas, x: float, y: float, z: float, tall: float, autumn: bool, rng: Random) -> None:
    """A trunk with branches under a crown of leaf clumps, dark below and light towards the sun."""
    sheet = Plane((x, y, z), (1.0, 0.0, 0.0))
    bark, trunk = (84, 70, 58), tall * rng.uniform(0.26, 0.36)
    wide, high = tall * rng.uniform(0.24, 0.34), (tall - trunk) / 2
    stem = canvas.patch(sheet.box(0, 0, 1, 1), Label.VEGETATION, CLOTH)
    middle = trunk + high * 0.95
    canvas.fill(sheet.bar((0, -0.05), (rng.uniform(-0.2, 0.2), middle), tall * 0.045, tall * 0.02), bark, stem)
    for s in (-0.5, 0.5):
        canvas.fill(sheet.bar((0, trunk * 0.9), (s * wide, middle), tall * 0.022, 0.04), bark, stem)
    colour = rng.choice(_AUTUMN if autumn else _GREENS)
    crown = canvas.patch(sheet.box(0, 0, 1, 1), Label.VEGETATION, LEAVES)
    lean = 1 if canvas.light.sun[0] > 0 else -1
    masses, clumps = 14, max(14, min(130, int(1500 * canvas.camera.focal / z)))
    for i in range(masses + clumps):
        turn, reach = rng.uniform(0, 2 * pi), rng.random() ** 0.45
        inner = i < masses  # a few dark masses inside, then many small clumps, the last ones in the light
        s, t = (
            (0.72 if inner else 1.0) * wide * reach * cos(turn),
            (0.72 if inner else 1.0) * high * reach * sin(turn),
        )
        size = tall * (rng.uniform(0.06, 0.09) if inner else rng.uniform(0.02, 0.045))
        side_light = 0.55 + 0.3 * t / high + 0.24 * lean * s / wide
        shine = 0.62 if inner else 0.62 + 0.85 * (i - masses) / clumps * side_light
        corners = 8 if inner else 7
        step = 2 * pi / corners
        ragged = [size * rng.uniform(0.6, 1.3) for _ in range(corners)]
        blob = [(s + r * 1.2 * cos(k * step), middle + t + r * sin(k * step)) for k, r in enumerate(ragged)]
        canvas.fill(sheet.at(blob), _lit(colour, shine), crown)
    canvas.cast([(x + wide * a, y + middle + high * b, z + wide * c) for a, b, c in _BALL], 125)
    canvas.cast(sheet.bar((0, 0), (0, trunk), 0.3), 125)
    canvas.shadows.append((120, [(x + a * 0.5, y, z + c * 0.4) for a, _, c in _BALL]))


_BALL = [
    (cos(a) * cos(b), sin(b), sin(a) * cos(b)) for b in (-0.9, 0.0, 0.9) for a in (0.0, 0.9, 1.8, 2.7, 3.6, 4.5, 5.4)
]


def bush(canvas: Canvas, x: float, y: float, z: float, rng: Random) -> None:
    """A low shrub."""
    sheet = Plane((x, y, z), (1.0, 0.0, 0.0))
    patch = canvas.patch(sheet.box(0, 0, 1, 1), Label.VEGETATION, LEAVES)
    colour, wide = rng.choice(_GREENS), rng.uniform(0.5, 1.4)
    for i in range(22):
        s, t, r = rng.uniform(-wide, wide), rng.uniform(0.0, 0.7 * wide), rng.uniform(0.14, 0.34)
        shine = 0.65 + 0.5 * i / 22 * (0.5 + t)
        canvas.fill(sheet.oval(s, t * (1 - (s / wide) ** 2 * 0.6) + 0.1, r, r * 0.85, 8), _lit(colour, shine), patch)
    canvas.shadows.append((130, [(x + a * wide, y, z + c * 0.5) for a, _, c in _BALL]))


def _lit(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def lamp_post(canvas: Canvas, x: float, y: float, z: float, *, side: int, lamps: float, rng: Random) -> None:
    """A street lamp with an arm over the road."""
    sheet, tall = Plane((x, y, z), (float(-side), 0.0, 0.0)), rng.uniform(6.5, 8.5)
    patch = canvas.face(sheet.bar((0, 0), (0, tall), 0.2, 0.12), _STEEL, Label.POLE, METAL)
    canvas.fill(sheet.box(-0.13, 0, 0.13, 0.9), _lit(_STEEL, 0.85), patch)
    canvas.fill(sheet.bar((0, tall - 0.05), (1.4, tall + 0.25), 0.11, 0.08), _STEEL, patch)
    canvas.fill(sheet.bar((1.2, tall + 0.22), (2.0, tall + 0.28), 0.16), (92, 94, 96), patch)
    if lamps:
        canvas.paint(sheet.bar((1.3, tall + 0.12), (1.95, tall + 0.16), 0.12), (255, 240, 200))
    canvas.cast(sheet.bar((0, 0), (0, tall), 0.16), 110)


def traffic_light(canvas: Canvas, x: float, y: float, z: float, rng: Random) -> None:
    """A signal with three lamps, one of which is on; some seen from behind."""
    sheet, tall = Plane((x, y, z), (1.0, 0.0, 0.0)), rng.uniform(2.5, 3.1)
    pole = canvas.face(sheet.bar((0, 0), (0, tall), 0.14, 0.12), _STEEL, Label.POLE, METAL)
    heads = [(0.0, tall)]
    if rng.random() < 0.45:
        reach = rng.uniform(2.0, 3.6) * (-1 if x > canvas.camera.x else 1)
        canvas.fill(sheet.bar((0, tall), (0, 5.3), 0.13), _STEEL, pole)
        canvas.fill(sheet.bar((0, 5.25), (reach, 5.4), 0.12, 0.09), _STEEL, pole)
        heads.append((reach, 4.75))
    lit, back = rng.randrange(3), rng.random() < 0.15
    for s, t in heads:
        patch = canvas.face(sheet.box(s - 0.19, t - 0.15, s + 0.19, t + 0.9), (34, 36, 36), Label.TRAFFIC_LIGHT, METAL)
        if back:
            canvas.paint(sheet.box(s - 0.12, t - 0.05, s + 0.12, t + 0.8), (48, 50, 50), patch.light)
            continue
        for i, on in enumerate(((56, 220, 130), (250, 180, 40), (240, 46, 36))):
            shade = on if i == lit else _lit(on, 0.2)
            canvas.paint(sheet.oval(s, t + 0.08 + i * 0.29, 0.115, 0.115, 10), shade)


def sign(canvas: Canvas, x: float, y: float, z: float, rng: Random) -> None:
    """A traffic sign on a post: round, triangular, square or a town sign."""
    sheet, tall = Plane((x, y, z), (1.0, 0.0, 0.0)), rng.uniform(2.1, 2.6)
    canvas.face(sheet.box(-0.045, 0, 0.045, tall + 0.55), (132, 134, 136), Label.POLE, METAL)
    patch = canvas.patch(sheet.box(0, 0, 1, 1), Label.TRAFFIC_SIGN, METAL)
    light, white, red, blue = patch.light, (232, 232, 228), (190, 34, 36), (32, 76, 156)
    t = tall + 0.3
    match rng.choice(("limit", "give way", "warning", "parking", "arrow", "name")):
        case "limit":
            canvas.fill(sheet.oval(0, t, 0.34, 0.34, 16), red, patch)
            canvas.paint(sheet.oval(0, t, 0.25, 0.25, 16), white, light)
            for s in (-0.09, 0.09):
                canvas.paint(sheet.box(s - 0.05, t - 0.11, s + 0.05, t + 0.11), (30, 30, 30), light)
        case "give way":
            canvas.fill(sheet.at([(-0.42, t + 0.3), (0.42, t + 0.3), (0, t - 0.42)]), red, patch)
            canvas.paint(sheet.at([(-0.26, t + 0.21), (0.26, t + 0.21), (0, t - 0.23)]), white, light)
        case "warning":
            canvas.fill(sheet.at([(-0.42, t - 0.32), (0.42, t - 0.32), (0, t + 0.4)]), red, patch)
            canvas.paint(sheet.at([(-0.26, t - 0.23), (0.26, t - 0.23), (0, t + 0.21)]), white, light)
            canvas.paint(sheet.box(-0.03, t - 0.16, 0.03, t + 0.06), (30, 30, 30), light)
        case "parking":
            canvas.fill(sheet.box(-0.32, t - 0.32, 0.32, t + 0.32), blue, patch)
            canvas.paint(sheet.box(-0.11, t - 0.2, -0.03, t + 0.2), white, light)
            canvas.paint(sheet.oval(0.02, t + 0.09, 0.12, 0.11, 8), white, light)
        case "arrow":
            canvas.fill(sheet.oval(0, t, 0.34, 0.34, 16), blue, patch)
            canvas.paint(
                sheet.at([(-0.05, t - 0.2), (0.05, t - 0.2), (0.05, t + 0.05), (-0.05, t + 0.05)]),
                white,
                light,
            )
            canvas.paint(sheet.at([(-0.16, t + 0.03), (0.16, t + 0.03), (0, t + 0.22)]), white, light)
        case _:
            colour, wide = rng.choice((blue, (214, 176, 40), (40, 110, 66))), rng.uniform(0.5, 0.8)
            canvas.fill(sheet.box(-wide, t - 0.22, wide, t + 0.4), colour, patch)
            canvas.paint(sheet.box(-wide * 0.8, t + 0.12, wide * 0.6, t + 0.24), white, light)
            canvas.paint(sheet.box(-wide * 0.8, t - 0.1, wide * 0.3, t + 0.02), white, light)
    canvas.cast(sheet.bar((0, 0), (0, tall), 0.12), 100)


def bollard(canvas: Canvas, x: float, y: float, z: float, rng: Random) -> None:
    """A short post at the kerb."""
    grey = rng.uniform(50, 80)
    sheet = Plane((x, y, z), (1.0, 0.0, 0.0))
    patch = canvas.face(sheet.box(-0.08, 0, 0.08, 0.95), (grey, grey, grey), Label.POLE, METAL)
    canvas.paint(sheet.box(-0.08, 0.72, 0.08, 0.84), (214, 212, 204), patch.light)


def litter_bin(canvas: Canvas, x: float, y: float, z: float, rng: Random) -> None:
    """A waste bin; Cityscapes calls it static."""
    sheet = Plane((x, y, z), (1.0, 0.0, 0.0))
    colour = rng.choice(((62, 80, 62), (70, 72, 76), (168, 104, 44), (48, 56, 84)))
    patch = canvas.face(sheet.box(-0.3, 0.05, 0.3, 1.0), colour, Label.STATIC, METAL)
    canvas.fill(sheet.box(-0.34, 0.95, 0.34, 1.08), _lit(colour, 0.7), patch)
    canvas.cast(sheet.box(-0.3, 0, 0.3, 1.0))

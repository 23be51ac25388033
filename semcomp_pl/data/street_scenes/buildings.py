"""What stands on the lots: houses, walls, fences, hedges, and the skyline at the street's end."""

from math import hypot
from random import Random

from semcomp_pl.data.street_scenes.canvas import (
    BOARDS,
    BRICK,
    LEAVES,
    NEAR,
    PAVING,
    PLASTER,
    TILES,
    Canvas,
    Colour,
    Label,
    Patch,
    Plane,
    Point,
)
from semcomp_pl.data.street_scenes.street import KERB, Street

_FACADES: tuple[Colour, ...] = (
    (206, 192, 166), (188, 166, 136), (176, 122, 96), (158, 96, 78), (208, 204, 196), (184, 186, 184),
    (200, 174, 118), (164, 172, 160), (150, 158, 170), (212, 180, 158), (136, 112, 96), (222, 214, 190),
)  # fmt: skip
_ROOFS: tuple[Colour, ...] = ((134, 78, 62), (116, 72, 60), (92, 88, 90), (82, 80, 84), (146, 92, 70))
_SIGNS: tuple[Colour, ...] = (
    (150, 44, 40), (36, 74, 120), (40, 96, 70), (196, 150, 52), (52, 50, 52), (214, 208, 198),
)  # fmt: skip


def front(plan: Street, side: int, start: float, end: float, setback: float = 0.0) -> tuple[Plane, float]:
    """The sheet along the street's edge between two distances, and its length in metres."""
    offset = side * (plan.edge + setback)
    x0, x1 = plan.x(offset, start), plan.x(offset, end)
    length = hypot(x1 - x0, end - start)
    return Plane((x0, KERB, start), ((x1 - x0) / length, 0.0, (end - start) / length)), length


def house(canvas: Canvas, plan: Street, side: int, start: float, end: float, lamps: float, rng: Random) -> None:
    """A house of one to seven storeys: facade, end wall, roof, windows, shop or door."""
    sheet, length = front(plan, side, start, end, rng.choice((0.0, 0.0, 0.0, 0.4)))
    storeys, storey = rng.choice((2, 3, 3, 4, 4, 5, 6, 7)), rng.uniform(2.9, 3.5)
    height = storeys * storey + 0.9
    colour = _vary(rng.choice(_FACADES), rng)
    material = BRICK if colour[0] > colour[2] * 1.5 and rng.random() < 0.7 else PLASTER
    deep = rng.uniform(9, 13)
    block = Plane(sheet.origin, (float(side), 0.0, 0.0))
    canvas.cast([p for s in (0.0, length) for x in (0.0, side * deep) for p in _column(sheet, s, x, height)], 105)
    if rng.random() < 0.55:
        _roof(canvas, sheet, length, side, height, deep, rng)
    end_wall = canvas.face(block.box(0, 0, deep, height), _times(colour, 0.94), Label.BUILDING, material)
    patch = canvas.face(sheet.box(0, 0, length, height), colour, Label.BUILDING, material)
    trim = _times(colour, rng.choice((0.8, 1.12)))
    canvas.paint(sheet.box(0, height - 0.45, length, height), trim, patch.light)
    patch, end_wall = canvas.smooth(patch), canvas.smooth(end_wall)
    shop = rng.random() < 0.5
    _windows(canvas, sheet, length, storeys, storey, patch, trim, lamps, rng)
    if start > 3:
        _windows(canvas, block, deep, storeys, storey, end_wall, trim, lamps, rng)
    (_shop if shop else _entrance)(canvas, sheet, length, storey, patch, trim, lamps, rng)


def _column(sheet: Plane, s: float, x: float, height: float) -> list[Point]:
    (px, py, pz), (qx, qy, qz) = sheet.at([(s, 0.0), (s, height)])
    return [(px + x, py, pz), (qx + x, qy, qz)]


def _vary(colour: Colour, rng: Random, amount: float = 0.1) -> Colour:
    """The colour somewhat lighter or darker, warmer or cooler."""
    value, warm = 1 + rng.uniform(-amount, amount), rng.uniform(-0.03, 0.03)
    return colour[0] * value * (1 + warm), colour[1] * value, colour[2] * value * (1 - warm)


def _times(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _roof(canvas: Canvas, sheet: Plane, length: float, side: int, height: float, deep: float, rng: Random) -> None:
    """A pitched roof: its slope towards the street and the gable towards the camera."""
    rise, half = rng.uniform(2.2, 4.0), deep / 2
    a, b = sheet.at([(0.0, height), (length, height)])
    ridge = [(p[0] + side * half, p[1] + rise, p[2]) for p in (a, b)]
    colour = _vary(rng.choice(_ROOFS), rng)
    canvas.face([a, b, ridge[1], ridge[0]], colour, Label.BUILDING, TILES)
    canvas.face([a, ridge[0], (a[0] + side * deep, a[1], a[2])], _times(colour, 1.1), Label.BUILDING, PLASTER)
    if rng.random() < 0.6:
        s = rng.uniform(0.2, 0.8) * length
        (x, y, z), *_ = sheet.at([(s, height + rise * 0.6)])
        stack = Plane((x + side * half * 0.7, y, z), (1.0, 0.0, 0.0))
        canvas.face(stack.box(-0.35, 0, 0.35, rise * 0.4 + 0.9), (124, 82, 68), Label.BUILDING, BRICK)


def _windows(
    canvas: Canvas,
    sheet: Plane,
    length: float,
    storeys: int,
    storey: float,
    patch: Patch,
    trim: Colour,
    lamps: float,
    rng: Random,
) -> None:
    """Rows of windows above the ground floor."""
    pitch, wide, tall = rng.uniform(2.2, 3.2), rng.uniform(0.45, 0.62), rng.uniform(0.48, 0.62)
    columns = max(1, int((length - 0.8) / pitch))
    pitch, plain = (length - 0.6) / columns, sheet.origin[2] > 70
    shutters = rng.random() < 0.2
    bands = rng.random() < 0.4
    for row in range(1, storeys):
        bottom = row * storey + 0.22 * storey
        if bands and not plain:
            canvas.fill(sheet.box(0, row * storey - 0.1, length, row * storey + 0.08), trim, patch)
        for column in range(columns):
            left = 0.3 + (column + 0.5 - wide / 2) * pitch
            right, top = left + wide * pitch, bottom + tall * storey
            glass, pane = _pane(lamps, patch, rng)
            if plain:
                canvas.fill(sheet.box(left, bottom, right, top), glass, pane)
                continue
            if shutters:
                canvas.fill(sheet.box(left - 0.5, bottom, right + 0.5, top), _times(trim, 0.55), patch)
            canvas.fill(sheet.box(left - 0.1, bottom - 0.14, right + 0.1, top + 0.1), trim, patch)
            canvas.fill(sheet.box(left, bottom, right, top), (226, 224, 216), patch)
            middle = (left + right) / 2
            canvas.fill(sheet.box(left + 0.06, bottom + 0.06, middle - 0.03, top - 0.06), glass, pane)
            canvas.fill(sheet.box(middle + 0.03, bottom + 0.06, right - 0.06, top - 0.06), _times(glass, 0.93), pane)


def _pane(lamps: float, patch: Patch, rng: Random) -> tuple[Colour, Patch]:
    """Colour and brightness of a window: dark, with a curtain, reflecting the sky, or lit from inside."""
    chance = rng.random()
    if chance < 0.3 * lamps:
        return _vary((250, 206, 128), rng), patch._replace(light=1.0)
    if chance > 0.82:
        return _vary((150, 150, 148), rng, 0.2), patch
    return _vary((66, 76, 90) if chance < 0.6 else (96, 112, 130), rng, 0.25), patch


def _shop(
    canvas: Canvas,
    sheet: Plane,
    length: float,
    storey: float,
    patch: Patch,
    trim: Colour,
    lamps: float,
    rng: Random,
) -> None:
    """A ground floor of shop windows under sign boards, some with an awning."""
    shops = max(1, int(length / 6))
    for i in range(shops):
        left, right = i * length / shops, (i + 1) * length / shops
        colour = _vary(rng.choice(_SIGNS), rng)
        canvas.fill(sheet.box(left, 0, right, storey), _times(trim, rng.uniform(0.55, 0.95)), patch)
        lit = lamps > 0.3 and rng.random() < 0.7
        glass: Colour = (246, 214, 150) if lit else _vary((70, 76, 84), rng, 0.2)
        door, pane = left + 0.72 * (right - left), patch._replace(light=0.95) if lit else patch
        canvas.fill(sheet.box(left + 0.3, 0.45, door - 0.2, storey - 0.85), glass, pane)
        for s in (0.35, 0.6):
            x = left + s * (door - left)
            canvas.fill(sheet.box(x - 0.05, 0.45, x + 0.05, storey - 0.85), _times(colour, 0.7), patch)
        canvas.fill(sheet.box(door, 0.05, right - 0.4, storey - 0.85), _times(glass, 0.7), pane)
        canvas.fill(sheet.box(left + 0.15, storey - 0.75, right - 0.15, storey - 0.12), colour, patch)
        canvas.fill(
            sheet.box(left + 0.9, storey - 0.55, left + 0.55 * (right - left), storey - 0.32),
            (232, 228, 216),
            patch,
        )
        if rng.random() < 0.4:
            _awning(canvas, sheet, left + 0.2, door, storey - 0.8, colour)


def _awning(canvas: Canvas, sheet: Plane, left: float, right: float, top: float, colour: Colour) -> None:
    """A sloping striped cloth that hangs over the pavement."""
    x, _, z = sheet.right
    out = (-z, 0.0, x) if sheet.origin[0] > 0 else (z, 0.0, -x)
    (a, b), stripes = sheet.at([(left, top), (right, top)]), 8
    for i in range(stripes):
        s, t = i / stripes, (i + 1) / stripes
        p = [tuple(a[k] + f * (b[k] - a[k]) for k in range(3)) for f in (s, t)]
        hang = [(q[0] + out[0] * 1.1, q[1] - 0.55, q[2] + out[2] * 1.1) for q in p]
        quad = [(p[0][0], p[0][1], p[0][2]), (p[1][0], p[1][1], p[1][2]), hang[1], hang[0]]
        canvas.face(quad, colour if i % 2 else (224, 218, 206), Label.BUILDING)


def _entrance(
    canvas: Canvas,
    sheet: Plane,
    length: float,
    storey: float,
    patch: Patch,
    trim: Colour,
    lamps: float,
    rng: Random,
) -> None:
    """A ground floor of flats: plinth, door with steps, windows."""
    canvas.fill(sheet.box(0, 0, length, 0.7), _times(trim, 0.75), patch)
    count = max(2, int(length / 2.8))
    door, wood = rng.randrange(count), _vary(rng.choice(((92, 58, 40), (48, 70, 62), (60, 62, 84))), rng)
    for i in range(count):
        middle = (i + 0.5) * length / count
        if i == door:
            canvas.fill(sheet.box(middle - 0.8, 0, middle + 0.8, 2.6), trim, patch)
            canvas.fill(sheet.box(middle - 0.6, 0.15, middle + 0.6, 2.1), wood, patch)
            canvas.fill(sheet.box(middle - 0.6, 2.15, middle + 0.6, 2.5), (80, 90, 100), patch)
        else:
            glass, pane = _pane(lamps, patch, rng)
            canvas.fill(sheet.box(middle - 0.72, 0.95, middle + 0.72, storey - 0.45), (222, 220, 212), patch)
            canvas.fill(sheet.box(middle - 0.62, 1.05, middle + 0.62, storey - 0.55), glass, pane)


def barrier(canvas: Canvas, plan: Street, side: int, start: float, end: float, rng: Random) -> None:
    """A lot without a house: lawn or yard behind a wall, a fence or a hedge."""
    sheet, length = front(plan, side, start, end)
    kind = rng.choice(("wall", "wall", "boards", "rails", "rails", "hedge", "open"))
    if kind == "wall":
        brick = rng.random() < 0.6
        colour = _vary((150, 96, 80) if brick else (178, 172, 160), rng)
        height = rng.uniform(1.2, 2.4)
        patch = canvas.face(sheet.box(0, 0, length, height), colour, Label.WALL, BRICK if brick else PLASTER)
        canvas.paint(sheet.box(0, height - 0.14, length, height), (170, 166, 158), patch.light)
        canvas.cast(sheet.box(0, 0, length, height))
    elif kind == "hedge":
        _ragged(canvas, sheet, length, rng.uniform(1.0, 1.8), rng)
    elif kind != "open":
        _fence(canvas, sheet, length, kind == "boards", rng)


def _ragged(canvas: Canvas, sheet: Plane, length: float, height: float, rng: Random) -> None:
    """A clipped hedge with an uneven top."""
    count = max(4, int(length / 0.5))
    top = [(length * (1 - i / count), height + rng.uniform(-0.12, 0.12)) for i in range(count + 1)]
    canvas.face(sheet.at([(0, 0), (length, 0), *top]), (58, 84, 42), Label.VEGETATION, LEAVES)
    canvas.cast(sheet.box(0, 0, length, height))


def _fence(canvas: Canvas, sheet: Plane, length: float, boards: bool, rng: Random) -> None:
    """Boards or rails between posts; what is seen through the gaps counts as fence, as in Cityscapes."""
    height = rng.uniform(1.1, 1.8)
    colour = _vary(rng.choice(((132, 98, 66), (112, 106, 96), (196, 192, 182))), rng)
    dark: Colour = (64, 78, 50)
    patch = canvas.face(
        sheet.box(0, 0, length, height), colour if boards else dark, Label.FENCE, BOARDS if boards else LEAVES
    )
    metal = colour if boards else _vary(rng.choice(((58, 62, 60), (150, 152, 150), (44, 74, 58))), rng)
    for t in (0.12, height * 0.5, height - 0.14):
        canvas.paint(sheet.box(0, t, length, t + 0.09), _times(metal, 0.85), patch.light)
    step = 2.0 if boards else 0.3
    for i in range(int(length / step) + 1):
        s = min(i * step, length - 0.08)
        canvas.paint(sheet.box(s, 0, s + 0.08, height), metal, patch.light)
    canvas.cast(sheet.box(0, 0, length, height), 110)


def yard(canvas: Canvas, plan: Street, side: int, start: float, end: float, rng: Random) -> None:
    """The ground of an open lot: a lawn, or a paved parking yard."""
    if rng.random() < 0.3:
        inner, outer = side * plan.edge, side * (plan.edge + 26)
        quad = [
            (plan.x(o, z), KERB, max(z, NEAR)) for o, z in ((inner, start), (outer, start), (outer, end), (inner, end))
        ]
        canvas.face(quad, (138, 136, 132), Label.PARKING, PAVING)


def skyline(canvas: Canvas, plan: Street, rng: Random) -> None:
    """Woods and houses far away, which close the view."""
    left = -330.0
    while left < 330:
        width, z = rng.uniform(16, 42), rng.uniform(215, 300)
        x = plan.x(left, z * 0.8)
        sheet = Plane((x, 0.0, z), (1.0, 0.0, 0.0))
        if rng.random() < 0.45:
            height = rng.uniform(9, 26)
            colour = _vary(rng.choice(_FACADES), rng)
            patch = canvas.face(sheet.box(0, 0, width, height), colour, Label.BUILDING, PLASTER)
            for row in range(1, int(height / 3.4)):
                for column in range(int(width / 4)):
                    canvas.paint(
                        sheet.box(column * 4 + 1, row * 3.4, column * 4 + 2.6, row * 3.4 + 1.8),
                        (88, 96, 106),
                        patch.light,
                    )
        else:
            count = 14
            top = [(width * 1.3 * (1 - i / count), rng.uniform(7, 15)) for i in range(count + 1)]
            canvas.face(sheet.at([(0, 0), (width * 1.3, 0), *top]), (70, 88, 54), Label.VEGETATION, LEAVES)
        left += width * 0.9

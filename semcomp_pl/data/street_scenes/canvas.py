"""A canvas for polygons in metres: colours are drawn twice as fine, surface ids with them, never smoothed."""

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from math import cos, hypot, pi, sin
from typing import NamedTuple

from PIL import Image, ImageDraw

Point = tuple[float, float, float]  # metres: x to the right, y up from the road, z ahead of the camera
Flat = tuple[float, float]
Colour = tuple[float, float, float]  # RGB, 0..255

FINER = 2
NEAR = 0.6
FAR = 500.0


class Label(IntEnum):
    """The Cityscapes label ids that the scenes use."""

    EGO_VEHICLE = 1
    STATIC = 4
    ROAD = 7
    SIDEWALK = 8
    PARKING = 9
    BUILDING = 11
    WALL = 12
    FENCE = 13
    POLE = 17
    TRAFFIC_LIGHT = 19
    TRAFFIC_SIGN = 20
    VEGETATION = 21
    TERRAIN = 22
    SKY = 23
    PERSON = 24
    RIDER = 25
    CAR = 26
    TRUCK = 27
    BUS = 28
    TRAIN = 31
    MOTORCYCLE = 32
    BICYCLE = 33


class Material(NamedTuple):
    """How a surface's colour varies: strengths of noise, size of its bricks or slabs in metres (0 = none)."""

    fine: float = 0.0
    coarse: float = 0.0
    brick_width: float = 0.0
    brick_height: float = 0.0
    ground: float = 0.0


SMOOTH = Material()
CLOTH = Material(fine=0.04)
METAL = Material(fine=0.01, coarse=0.03)
ASPHALT = Material(fine=0.07, coarse=0.06, ground=1.0)
PAVING = Material(0.05, 0.05, 0.6, 0.6, 1.0)
COBBLES = Material(0.08, 0.05, 0.22, 0.22, 1.0)
GRASS = Material(fine=0.16, coarse=0.1, ground=1.0)
PLASTER = Material(fine=0.025, coarse=0.05)
BRICK = Material(0.06, 0.05, 0.5, 0.16)
TILES = Material(0.08, 0.06, 0.3, 0.35)
BOARDS = Material(0.06, 0.05, 0.14, 5.0)
LEAVES = Material(fine=0.24, coarse=0.08)


class Camera(NamedTuple):
    """A pinhole; `focal` and `centre` in image widths, `horizon` in image heights."""

    x: float
    height: float
    focal: float
    centre: float
    horizon: float


class Light(NamedTuple):
    """Direction to the sun (unit vector) and the strengths of sky light and sunlight."""

    sun: Point
    ambient: float
    direct: float

    def on(self, normal: Point) -> float:
        """Brightness of a matt surface with this unit normal; the sky lights what looks up a little more."""
        lambert = sum(a * b for a, b in zip(normal, self.sun, strict=True))
        return self.ambient * (0.92 + 0.08 * normal[1]) + self.direct * max(0.0, lambert)


class Surface(NamedTuple):
    """What one surface id stands for; depth^-1 = plane . (right, up, 1) on rays of unit depth."""

    label: int
    instance: int
    plane: Point
    material: Material


class Patch(NamedTuple):
    """A surface ready to be drawn on: its id and its brightness."""

    surface: int
    light: float


class Plane(NamedTuple):
    """A flat sheet in the scene with coordinates of its own, in metres."""

    origin: Point
    right: Point
    up: Point = (0.0, 1.0, 0.0)

    def at(self, points: Sequence[Flat]) -> list[Point]:
        """Sheet coordinates to scene coordinates."""
        (ox, oy, oz), (rx, ry, rz), (ux, uy, uz) = self
        return [(ox + s * rx + t * ux, oy + s * ry + t * uy, oz + s * rz + t * uz) for s, t in points]

    def box(self, left: float, bottom: float, right: float, top: float) -> list[Point]:
        """An upright rectangle."""
        return self.at([(left, bottom), (right, bottom), (right, top), (left, top)])

    def oval(self, s: float, t: float, width: float, height: float, corners: int = 12) -> list[Point]:
        """An ellipse with these half axes."""
        turns = [2 * pi * i / corners for i in range(corners)]
        return self.at([(s + width * cos(a), t + height * sin(a)) for a in turns])

    def bar(self, start: Flat, end: Flat, thick: float, thin: float | None = None) -> list[Point]:
        """A straight bar between two points, `thick` wide at the start and `thin` at the end."""
        (s0, t0), (s1, t1) = start, end
        length = hypot(s1 - s0, t1 - t0) or 1.0
        ns, nt = (t0 - t1) / length, (s1 - s0) / length
        a, b = thick / 2, (thick if thin is None else thin) / 2
        return self.at(
            [
                (s0 + a * ns, t0 + a * nt),
                (s1 + b * ns, t1 + b * nt),
                (s1 - b * ns, t1 - b * nt),
                (s0 - a * ns, t0 - a * nt),
            ]
        )


class Canvas:
    """Draws what it is told in that order; `shade.py` makes the picture and the maps of it.

    `rgb` is (FINER H, FINER W, 3), `ids` indexes `surfaces`, `shadows` holds (darkness 0..255, polygon).
    """

    def __init__(self, camera: Camera, light: Light, sky: Image.Image) -> None:
        self.camera, self.light = camera, light
        self.size = sky.height, sky.width
        self.rgb = sky.resize((sky.width * FINER, sky.height * FINER), Image.Resampling.BICUBIC)
        self.ids = Image.new("I", self.rgb.size)
        self.surfaces = [Surface(Label.SKY, Label.SKY, (0.0, 0.0, 1 / FAR), SMOOTH)]
        self.shadows: list[tuple[int, list[Point]]] = []
        self._colours, self._marks = ImageDraw.Draw(self.rgb), ImageDraw.Draw(self.ids)
        self._instances: Counter[int] = Counter()

    def instance(self, label: Label) -> int:
        """The next free instance id of a thing class: label id * 1000 + n."""
        self._instances[label] += 1
        return label * 1000 + self._instances[label] - 1

    def patch(
        self, points: Sequence[Point], label: Label, material: Material = SMOOTH, instance: int | None = None
    ) -> Patch:
        """Announce a surface through three or more of its points without drawing anything."""
        normal = self._normal(points)
        x, y, z = points[0]
        offset = normal[0] * (x - self.camera.x) + normal[1] * (y - self.camera.height) + normal[2] * z
        if offset > 0:
            normal, offset = (-normal[0], -normal[1], -normal[2]), -offset
        edge_on = offset > -1e-3
        nx, ny, nz = normal
        plane = (0.0, 0.0, 1 / max(z, NEAR)) if edge_on else (nx / offset, ny / offset, nz / offset)
        self.surfaces.append(Surface(label, label if instance is None else instance, plane, material))
        return Patch(len(self.surfaces) - 1, self.light.on(normal))

    def smooth(self, patch: Patch) -> Patch:
        """The same surface without its material: for panes and paint on a wall of bricks."""
        self.surfaces.append(self.surfaces[patch.surface]._replace(material=SMOOTH))
        return Patch(len(self.surfaces) - 1, patch.light)

    def fill(self, points: Sequence[Point], colour: Colour, patch: Patch) -> None:
        """Draw a polygon of this surface."""
        corners = self.project(points, FINER)
        if len(corners) > 2:
            self._colours.polygon(corners, fill=_ink(colour, patch.light))
            self._marks.polygon(corners, fill=patch.surface)

    def paint(self, points: Sequence[Point], colour: Colour, light: float = 1.0) -> None:
        """Draw colour only, on something drawn before: window panes, lane markings, lamps."""
        corners = self.project(points, FINER)
        if len(corners) > 2:
            self._colours.polygon(corners, fill=_ink(colour, light))

    def mark(self, points: Sequence[Point], patch: Patch) -> None:
        """Give what is seen through a gap to the surface without painting it over."""
        corners = self.project(points, FINER)
        if len(corners) > 2:
            self._marks.polygon(corners, fill=patch.surface)

    def face(
        self,
        points: Sequence[Point],
        colour: Colour,
        label: Label,
        material: Material = SMOOTH,
        instance: int | None = None,
    ) -> Patch:
        """Announce a surface and draw it."""
        patch = self.patch(points, label, material, instance)
        self.fill(points, colour, patch)
        return patch

    def cast(self, points: Sequence[Point], darkness: int = 150) -> None:
        """Let a convex body with these corners throw its shadow on the ground that it stands on."""
        sx, sy, sz = self.light.sun
        foot = min(y for _, y, _ in points)
        ground = [(x - (y - foot) * sx / sy, z - (y - foot) * sz / sy) for x, y, z in points]
        if self.light.direct > 0.05:
            self.shadows.append((darkness, [(x, foot, z) for x, z in _hull(ground)]))

    def project(self, points: Sequence[Point], finer: float) -> list[Flat]:
        """Scene to pixels, cut off just in front of the camera; fewer than three points mean out of sight."""
        if min(z for _, _, z in points) < NEAR:
            points = _clip(points)
        height, width = self.size[0] * finer, self.size[1] * finer
        camera = self.camera
        scale, left, top = camera.focal * width, camera.centre * width, camera.horizon * height
        return [(left + scale * (x - camera.x) / z, top - scale * (y - camera.height) / z) for x, y, z in points]

    def faces(self, at: Point, normal: Point) -> bool:
        """Whether a surface at this place looks towards the camera."""
        x, y, z = at
        return normal[0] * (self.camera.x - x) + normal[1] * (self.camera.height - y) - normal[2] * z > 0

    @staticmethod
    def _normal(points: Sequence[Point]) -> Point:
        # three corners far apart: neighbours may lie on one line
        count = len(points)
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = points[0], points[count // 3], points[2 * count // 3]
        ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = (nx * nx + ny * ny + nz * nz) ** 0.5 or 1.0
        return nx / length, ny / length, nz / length


def _ink(colour: Colour, light: float) -> tuple[int, int, int]:
    r, g, b = colour
    return min(255, int(r * light)), min(255, int(g * light)), min(255, int(b * light))


def _clip(points: Sequence[Point]) -> list[Point]:
    """The part of a polygon beyond the near plane (Sutherland and Hodgman 1974)."""
    kept: list[Point] = []
    for a, b in zip(points, [*points[1:], points[0]], strict=True):
        if a[2] >= NEAR:
            kept.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            t = (NEAR - a[2]) / (b[2] - a[2])
            kept.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), NEAR))
    return kept


def _hull(points: Sequence[Flat]) -> list[Flat]:
    """Convex hull by monotone chains."""

    def chain(ordered: Sequence[Flat]) -> list[Flat]:
        kept: list[Flat] = []
        for p in ordered:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], p) <= 0:
                kept.pop()
            kept.append(p)
        return kept[:-1]

    ordered = sorted(set(points))
    return chain(ordered) + chain(ordered[::-1])


def _turn(a: Flat, b: Flat, c: Flat) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

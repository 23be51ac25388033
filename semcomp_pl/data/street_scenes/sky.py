"""Weather, tileable noise and the sky."""

from functools import cache
from math import cos, pi, sin
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcomp_pl.data.street_scenes.canvas import Camera, Colour, Light

Floats = NDArray[np.float32]
TILE = 512


class Weather(NamedTuple):
    """The air and its light.

    Colours 0..255; `visibility` in metres; clouds, wetness, lamps 0..1; noise and `exposure` (the mean that
    the camera aims at) in grey levels.
    """

    light: Light
    top: Colour
    low: Colour
    haze: Colour
    visibility: float
    tint: Colour
    clouds: float
    wet: float
    lamps: float
    noise: float
    exposure: float = 118.0


def weather(rng: Random) -> Weather:
    """Draw one of five kinds of weather, each with variations."""
    kind = rng.choices(("clear", "fair", "overcast", "dusk", "rain", "fog"), (26, 22, 22, 14, 10, 6))[0]
    bearing = rng.uniform(-pi, pi)
    height = rng.uniform(0.12, 0.22) if kind == "dusk" else rng.uniform(0.55, 1.05)
    sun = sin(bearing) * cos(height), sin(height), cos(bearing) * cos(height)
    far, noise = rng.uniform(0.8, 1.25), rng.uniform(1.0, 2.2)
    match kind:
        case "clear":
            top, low = (72, 122, 192), (190, 212, 232)
            return Weather(Light(sun, 0.6, 0.52), top, low, low, 420 * far, (1.03, 1.0, 0.96), 0.2, 0, 0, noise)
        case "fair":
            top, low = (98, 142, 198), (206, 218, 228)
            return Weather(Light(sun, 0.68, 0.4), top, low, low, 320 * far, (1.01, 1.0, 0.98), 0.75, 0, 0, noise)
        case "overcast":
            top, low = (178, 186, 196), (216, 220, 224)
            return Weather(Light(sun, 0.88, 0.03), top, low, low, 190 * far, (0.97, 1.0, 1.02), 0.3, 0.1, 0, noise)
        case "dusk":
            top, low = rng.choice((((58, 74, 122), (236, 168, 112)), ((70, 78, 118), (226, 150, 136))))
            tint = (1.1, 0.94, 0.86)
            return Weather(
                Light(sun, 0.56, 0.3),
                top,
                low,
                (196, 150, 124),
                240 * far,
                tint,
                0.6,
                0,
                1,
                noise * 1.6,
                88.0,
            )
        case "rain":
            top, low = (142, 150, 160), (184, 190, 196)
            return Weather(Light(sun, 0.72, 0.0), top, low, low, 90 * far, (0.95, 1.0, 1.04), 0.35, 1, 0.7, noise * 1.4)
        case _:
            top, low = (196, 201, 206), (208, 212, 216)
            return Weather(Light(sun, 0.82, 0.0), top, low, low, 42 * far, (0.99, 1.0, 1.01), 0.08, 0.3, 0.5, noise)


@cache
def tile(slope: float) -> Floats:
    """Periodic (TILE, TILE) noise with amplitude 1 / frequency^slope, mean 0, standard deviation 1."""
    white = np.fft.fft2(np.random.default_rng(1).standard_normal((TILE, TILE)))
    cycles = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE)))
    cycles[0, 0] = np.inf
    noise = np.fft.ifft2(white * np.maximum(cycles, 2 / TILE) ** -slope).real
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


def colour_array(colour: Colour) -> Floats:
    """A colour to calculate with."""
    return np.array(colour, np.float32)


def look_up(noise: Floats, u: Floats, v: Floats) -> Floats:
    """The nearest noise values at tile coordinates u, v (in tile pixels)."""
    columns = u.astype(np.int32) & (TILE - 1)
    rows = v.astype(np.int32) & (TILE - 1)
    found: Floats = noise[rows, columns]
    return found


def rays(camera: Camera, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Right (1, W) and up (H, 1) components of the rays of unit depth through the pixel centres."""
    height, width = size
    right = ((np.arange(width) + 0.5) / width - camera.centre) / camera.focal
    up = (camera.horizon - (np.arange(height) + 0.5) / height) * height / (width * camera.focal)
    return right[None].astype(np.float32), up[:, None].astype(np.float32)


def sky(camera: Camera, weather: Weather, size: tuple[int, int], rng: Random) -> Image.Image:
    """Gradient, clouds on a layer overhead, and the glow around the sun."""
    # drawn at this size whatever the picture's: clouds are soft, and the look-up below has no interpolation
    height, width = 256, 512
    right, up = rays(camera, size)
    right = np.interp(np.linspace(0, 1, width), np.linspace(0, 1, size[1]), right[0]).astype(np.float32)[None]
    up = np.interp(np.linspace(0, 1, height), np.linspace(0, 1, size[0]), up[:, 0]).astype(np.float32)[:, None]
    up = np.maximum(up, 0)
    rise = np.clip(up / 0.42, 0, 1)[..., None] ** 0.7
    picture = colour_array(weather.low) * (1 - rise) + colour_array(weather.top) * rise
    picture = np.broadcast_to(picture, (height, width, 3)).copy()
    soft, shift = tile(1.7), rng.random() * TILE
    layer = 1 / (up + 0.16)
    billow = look_up(soft, right * layer * 70 + shift + 4096, layer * 100 + shift + np.zeros_like(right))
    cover = np.clip((billow + weather.clouds * 2.2 - 0.9) * 0.55, 0, 1) * min(1.0, weather.clouds * 1.6)
    cover = (cover * np.clip(up / 0.12, 0.15, 1))[..., None]
    white = colour_array(weather.low) * 0.35 + colour_array((250, 246, 242)) * 0.65 * (0.6 if weather.lamps else 1.0)
    picture += cover * (white * (1 - 0.1 * np.clip(billow, -1, 1.5)[..., None]) - picture)
    sx, sy, sz = weather.light.sun
    if weather.light.direct > 0.1 and sz > 0.2:
        squared = (right - sx / sz) ** 2 + (up - sy / sz) ** 2
        glow = np.exp(-squared / 0.05) * 0.55 + np.exp(-squared / 0.0012)
        picture += glow[..., None] * (colour_array((255, 244, 218)) - picture) * 0.9
    smooth = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return smooth.resize((size[1], size[0]), Image.Resampling.BICUBIC)

"""From a drawn canvas to the picture: texture, shadows, wet ground, haze, bloom, sensor noise."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from semcomp_pl.data.street_scenes.canvas import FAR, FINER, Canvas, Label
from semcomp_pl.data.street_scenes.sky import Floats, Weather, colour_array, look_up, rays, tile

Maps = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]


def shade(canvas: Canvas, weather: Weather, seed: int) -> Maps:
    """Image (H, W, 3), label ids (H, W) and instance ids (H, W) of everything that was drawn."""
    ids = np.asarray(canvas.ids)[FINER // 2 :: FINER, FINER // 2 :: FINER]
    labels = np.array([s.label for s in canvas.surfaces], np.uint8)[ids]
    instances = np.array([s.instance for s in canvas.surfaces], np.uint16)[ids]
    planes = np.array([s.plane for s in canvas.surfaces], np.float32)
    right, up = rays(canvas.camera, canvas.size)
    nearness = planes[:, 0][ids] * right + planes[:, 1][ids] * up + planes[:, 2][ids]
    depth = 1 / np.clip(nearness, 1 / FAR, 2)
    ground = np.array([s.material.ground for s in canvas.surfaces], np.float32)[ids]
    picture = np.asarray(canvas.rgb.reduce(FINER), dtype=np.float32)
    grey = 1 + _texture(canvas, ids, depth, right, up, ground)
    grey *= 1 - _shadows(canvas) * ground
    picture = picture * grey[..., None]
    if weather.wet:
        picture = _wet(picture, weather, depth, right, ground, canvas.camera.horizon)
    clear = np.exp(-depth / weather.visibility)
    clear[labels == Label.SKY] = 1
    picture = picture * clear[..., None] + colour_array(weather.haze) * (1 - clear[..., None])
    return _expose(picture, weather, seed), labels, instances


def _texture(
    canvas: Canvas, ids: NDArray[np.int32], depth: Floats, right: Floats, up: Floats, ground: Floats
) -> Floats:
    """Noise and joints fixed to the surfaces in metres, fading where they get finer than a pixel."""
    rows = np.array([s.material for s in canvas.surfaces], np.float32)
    across, ahead = right * depth + canvas.camera.x, depth
    flat = ground > 0
    u = np.where(flat, across, across + 0.83 * ahead) + 512
    v = np.where(flat, ahead, up * depth + canvas.camera.height) + 64
    # metres per pixel, upright; the ground is seen foreshortened
    pixel = depth / (canvas.camera.focal * canvas.size[1])
    pixel = np.where(flat, pixel * np.maximum(depth / canvas.camera.height, 1) * 0.5, pixel)
    # near by, octaves finer: else large pictures show the noise's cells
    scale = np.exp2(np.clip(np.floor(-np.log2(24 * pixel)), 0, 4)) * 24
    noise: Floats = rows[:, 0][ids] * look_up(tile(0.5), u * scale, v * scale) * np.minimum(1, 0.05 / pixel)
    noise += rows[:, 1][ids] * look_up(tile(1.4), u * 9, v * 9)
    width, height = rows[:, 2][ids], rows[:, 3][ids]
    laid = width > 0
    course = v[laid] / height[laid]
    stagger = np.floor(course) % 2 * 0.5
    joint = ((u[laid] / width[laid] + stagger) % 1 < 0.09) | (course % 1 < 0.12)
    noise[laid] -= joint * 0.16 * np.clip(height[laid] * 0.35 / pixel[laid] - 0.5, 0, 1)
    return noise


def _shadows(canvas: Canvas) -> Floats:
    """Darkness 0..1 of the ground, with soft edges."""
    height, width = canvas.size
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for darkness, points in sorted(canvas.shadows, key=lambda shadow: shadow[0]):
        corners = canvas.project(points, 1)
        if len(corners) > 2:
            draw.polygon(corners, fill=darkness)
    soft = mask.filter(ImageFilter.BoxBlur(width / 340))
    return np.asarray(soft, dtype=np.float32) / np.float32(255)


def _wet(picture: Floats, weather: Weather, depth: Floats, right: Floats, ground: Floats, horizon: float) -> Floats:
    """The scene mirrored in the ground, most of it in puddles and far away."""
    height = len(picture)
    rows = np.clip((2 * horizon * height - np.arange(height)).astype(int), 0, height - 1)
    small = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    mirrored = np.asarray(small.filter(ImageFilter.BoxBlur(height / 90)), dtype=np.float32)[rows]
    puddles = np.clip(look_up(tile(1.7), right * depth * 18 + 4096, depth * 18) * 0.6 + 0.5, 0, 1)
    share = ground * weather.wet * np.clip(0.12 + 0.3 * puddles + depth / 150, 0, 0.6)
    darker = 1 - share - 0.15 * ground * weather.wet
    wet: Floats = picture * darker[..., None] + mirrored * share[..., None]
    return wet


def _expose(picture: Floats, weather: Weather, seed: int) -> NDArray[np.uint8]:
    """Exposure, tint, bloom of lamps, vignette, contrast curve, shot noise, 8 bits."""
    height, width = picture.shape[:2]
    gain = (weather.exposure / picture.mean()) ** 0.7
    picture = picture * (colour_array(weather.tint) * np.clip(gain, 0.85, 1.5))
    if weather.lamps:
        bright = Image.fromarray(np.clip((picture - 205) * 4, 0, 255).astype(np.uint8))
        bloom = bright.filter(ImageFilter.BoxBlur(width / 120)).filter(ImageFilter.BoxBlur(width / 120))
        picture += np.asarray(bloom, dtype=np.float32) * 0.35 * weather.lamps
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    value = np.clip(picture * (1 - 0.11 * (x * x + y * y)).astype(np.float32)[..., None] / 255, 0, 1)
    value = value + 0.22 * value * (1 - value) * (2 * value - 1)
    noise = np.random.default_rng([seed & 0xFFFFFFFF, height, width]).standard_normal((height, width, 3), np.float32)
    noise[...] = 0.7 * noise + 0.5 * noise[..., 1:2]
    value = value * 255 + noise * weather.noise * (0.6 + 0.8 * np.sqrt(value))
    return np.clip(value + 0.5, 0, 255).astype(np.uint8)

"""The images of a trap: a lit sheet with moths on it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

WIDTH, HEIGHT = 1920, 1280
NEUTRAL = 128  # grey without effect
Box = tuple[int, int, int, int]
Floats = NDArray[np.floating[Any]]


def draw_sheet(rng: np.random.Generator) -> Image.Image:
    """Return an empty sheet: warm light from above, folds, weave, dark corners."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    lamp_x, lamp_y = WIDTH * rng.uniform(0.42, 0.58), HEIGHT * rng.uniform(0.2, 0.34)
    distance = np.hypot((x - lamp_x) / WIDTH, (y - lamp_y) / HEIGHT * 0.8)
    light = 0.58 + 0.5 * np.exp(-((distance / 0.5) ** 2))
    light *= 1 + _folds(x, y, rng)
    light *= 1 + 0.012 * (np.sin(x * 1.9) + np.sin(y * 2.1)) + rng.normal(0, 0.012, x.shape)
    corner = np.hypot(x / WIDTH - 0.5, y / HEIGHT - 0.5)
    light *= 1 - 0.75 * np.clip(corner - 0.3, 0, 1)
    glow = np.clip(light, 0, 1.15)[..., None]
    colour = np.asarray([236, 222, 192]) * glow ** np.asarray([0.95, 1.05, 1.25])
    return Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8), "RGB")


def _folds(x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """Return the soft vertical folds of the cloth, as relative brightness."""
    folds = np.zeros_like(x)
    for _ in range(9):
        slope, bend = rng.uniform(-0.25, 0.25), rng.uniform(-60, 60)
        middle = rng.uniform(0, WIDTH) + slope * y + bend * np.sin(y / HEIGHT * np.pi)
        offset = (x - middle) / rng.uniform(14, 60)
        folds += rng.uniform(0.015, 0.055) * offset * np.exp(-(offset**2))
    return folds


def draw_grain(rng: np.random.Generator) -> Image.Image:
    """Return the noise of the camera, around NEUTRAL."""
    grain = rng.normal(NEUTRAL, 3.0, (HEIGHT, WIDTH, 1)) + rng.normal(0, 1.5, (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8), "RGB")


def expose(
    sheet: Image.Image, grain: Image.Image, *, brightness: float, shift: tuple[int, int]
) -> Image.Image:
    """Return one image of the empty sheet, with shifted noise, so that no two are equal."""
    frame = sheet.point(lambda value: value * brightness)
    return ImageChops.add(frame, ImageChops.offset(grain, *shift), offset=-NEUTRAL)


def add_gnats(frame: Image.Image, rng: np.random.Generator) -> None:
    """Draw specks that are too small for any detector."""
    for x, y in zip(
        rng.integers(60, WIDTH - 60, 45), rng.integers(60, HEIGHT - 60, 45), strict=True
    ):
        width, height = (int(side) for side in rng.integers(2, 7, 2))
        speck = Image.new("L", (width + 4, height + 4))
        speck.paste(int(rng.integers(110, 220)), (2, 2, 2 + width, 2 + height))
        frame.paste((70, 58, 48), (int(x), int(y)), speck.filter(ImageFilter.GaussianBlur(1.1)))


def place_moth(
    frame: Image.Image,
    sprite: Image.Image,
    *,
    centre: tuple[float, float],
    angle: float,
    area: float,
) -> Box:
    """Paint a moth, turned by `angle` degrees, and return its box.

    `area` is that of the box in square pixels, met as closely as whole pixels allow.
    """
    turned = sprite.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    turned = turned.crop(turned.getbbox())
    scale = (area / (turned.width * turned.height)) ** 0.5
    size = max(round(turned.width * scale), 4), max(round(turned.height * scale), 4)
    moth = turned.resize(size, Image.Resampling.LANCZOS)
    left, top = round(centre[0] - size[0] / 2), round(centre[1] - size[1] / 2)
    _cast_shadow(frame, moth, (left, top))
    frame.paste(_lit(moth, frame.getpixel((round(centre[0]), round(centre[1])))), (left, top), moth)
    return left, top, left + size[0], top + size[1]


def _lit(moth: Image.Image, sheet: Any) -> Image.Image:
    """Tint the moth with the light on the sheet at its place."""
    light = [
        0.35 + 0.75 * channel / full for channel, full in zip(sheet, (236, 222, 192), strict=True)
    ]
    red, green, blue, _ = moth.split()
    bands = (
        band.point(lambda value, by=by: value * by)
        for band, by in zip((red, green, blue), light, strict=True)
    )
    return Image.merge("RGB", tuple(bands))


def _cast_shadow(frame: Image.Image, moth: Image.Image, corner: tuple[int, int]) -> None:
    reach = max(3, round(max(moth.size) * 0.06))
    shade = Image.new("L", (moth.width + 4 * reach, moth.height + 4 * reach))
    shade.paste(moth.getchannel("A").point(lambda value: value * 0.5), (2 * reach, 2 * reach))
    shade = shade.filter(ImageFilter.GaussianBlur(reach * 0.7))
    frame.paste((52, 40, 30), (corner[0] - 2 * reach, corner[1] - round(1.3 * reach)), shade)

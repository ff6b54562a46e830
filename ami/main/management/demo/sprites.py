"""Drawings of moths from above, each species with its own pattern."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from ami.main.management.demo.species import Species

Floats = NDArray[np.floating[Any]]
Colour = tuple[int, int, int]
Point = tuple[float, float]

SIZE = 256  # pixels of the square that a sprite is drawn in
OVERSAMPLING = 2


class Pose(NamedTuple):
    """The right half of a resting moth; x to the right, y down, both within -1..1."""

    fore: tuple[Point, ...]
    hind: tuple[Point, ...]
    body: float  # width of the thorax
    length: float  # y of the tip of the abdomen
    closed: bool = False  # the wings cover the abdomen


class Look(NamedTuple):
    """The common properties of a family's species; areas are shares of the frame."""

    pose: Pose
    palette: tuple[Colour, ...]
    area: tuple[float, float]


SPREAD = Pose(
    fore=(
        (0.03, -0.36),
        (0.42, -0.52),
        (0.86, -0.6),
        (0.97, -0.52),
        (0.86, -0.2),
        (0.66, 0.08),
        (0.05, 0.02),
    ),
    hind=(
        (0.04, -0.08),
        (0.5, -0.02),
        (0.72, 0.16),
        (0.68, 0.42),
        (0.46, 0.6),
        (0.2, 0.56),
        (0.05, 0.3),
    ),
    body=0.085,
    length=0.42,
)
DELTA = Pose(
    fore=(
        (0.03, -0.46),
        (0.2, -0.42),
        (0.5, 0.02),
        (0.66, 0.46),
        (0.58, 0.62),
        (0.3, 0.66),
        (0.0, 0.56),
    ),
    hind=((0.0, 0.2), (0.3, 0.5), (0.34, 0.66), (0.15, 0.7), (0.0, 0.66)),
    body=0.15,
    length=0.5,
    closed=True,
)
FAN = Pose(
    fore=(
        (0.03, -0.3),
        (0.34, -0.3),
        (0.78, 0.0),
        (0.92, 0.26),
        (0.8, 0.4),
        (0.44, 0.44),
        (0.03, 0.2),
    ),
    hind=((0.03, 0.0), (0.5, 0.36), (0.6, 0.56), (0.42, 0.7), (0.16, 0.66), (0.02, 0.4)),
    body=0.11,
    length=0.5,
)
HAWK = Pose(
    fore=(
        (0.04, -0.4),
        (0.24, -0.36),
        (0.7, 0.0),
        (0.97, 0.42),
        (0.8, 0.4),
        (0.46, 0.3),
        (0.06, 0.12),
    ),
    hind=((0.04, 0.0), (0.34, 0.2), (0.52, 0.36), (0.4, 0.5), (0.16, 0.42), (0.04, 0.26)),
    body=0.16,
    length=0.74,
)
BELL = Pose(
    fore=(
        (0.02, -0.5),
        (0.2, -0.44),
        (0.3, -0.2),
        (0.3, 0.3),
        (0.38, 0.56),
        (0.28, 0.66),
        (0.0, 0.6),
    ),
    hind=((0.0, 0.3), (0.24, 0.6), (0.2, 0.68), (0.0, 0.66)),
    body=0.12,
    length=0.4,
    closed=True,
)
PLUME = Pose(
    fore=((0.03, -0.28), (0.5, -0.34), (0.96, -0.36), (0.97, -0.29), (0.5, -0.23), (0.04, -0.18)),
    hind=((0.03, -0.2), (0.4, -0.16), (0.62, -0.14), (0.4, -0.1), (0.04, -0.12)),
    body=0.05,
    length=0.62,
)
TAILED = Pose(
    fore=(
        (0.03, -0.34),
        (0.4, -0.58),
        (0.84, -0.66),
        (0.95, -0.56),
        (0.78, -0.26),
        (0.6, -0.04),
        (0.05, 0.02),
    ),
    hind=(
        (0.04, -0.06),
        (0.5, 0.0),
        (0.6, 0.2),
        (0.44, 0.38),
        (0.36, 0.6),
        (0.46, 0.84),
        (0.4, 0.96),
        (0.26, 0.84),
        (0.2, 0.56),
        (0.05, 0.26),
    ),
    body=0.1,
    length=0.34,
)

BROWNS = (
    (112, 88, 66),
    (141, 112, 82),
    (92, 78, 68),
    (122, 100, 90),
    (84, 66, 52),
    (150, 128, 104),
)
GREYS = ((126, 122, 116), (148, 143, 134), (104, 100, 98), (166, 160, 148), (120, 110, 98))
PALES = ((206, 192, 160), (196, 178, 138), (184, 170, 148), (172, 160, 132), (214, 204, 182))
TAWNIES = ((186, 134, 72), (204, 156, 90), (164, 104, 60), (192, 146, 104), (176, 96, 74))

LOOKS = {
    "Geometridae": Look(SPREAD, (*GREYS, *PALES, *BROWNS[:2], (150, 176, 128)), (0.0022, 0.0075)),
    "Noctuidae": Look(DELTA, (*BROWNS, *GREYS[:3]), (0.0020, 0.0065)),
    "Erebidae": Look(FAN, (*BROWNS, *TAWNIES, *PALES[:2]), (0.0024, 0.0100)),
    "Notodontidae": Look(DELTA, (*GREYS, *BROWNS[:3]), (0.0032, 0.0080)),
    "Saturniidae": Look(SPREAD, (*TAWNIES, (182, 120, 104)), (0.0120, 0.0240)),
    "Sphingidae": Look(HAWK, (*BROWNS, (122, 120, 84), (150, 120, 110)), (0.0090, 0.0200)),
    "Crambidae": Look(BELL, (*PALES, *TAWNIES[:2]), (0.0012, 0.0028)),
    "Tortricidae": Look(BELL, (*BROWNS, *TAWNIES), (0.0011, 0.0020)),
    "Pterophoridae": Look(PLUME, (*PALES, *BROWNS[:1]), (0.0013, 0.0024)),
    "Drepanidae": Look(SPREAD, (*TAWNIES, *PALES), (0.0024, 0.0060)),
    "Lasiocampidae": Look(DELTA, (*TAWNIES, *GREYS[:2]), (0.0036, 0.0090)),
    "Pyralidae": Look(FAN, (*TAWNIES, *BROWNS), (0.0012, 0.0030)),
    "Nolidae": Look(BELL, ((136, 164, 112), *GREYS), (0.0014, 0.0034)),
    "Limacodidae": Look(DELTA, (*TAWNIES, (142, 150, 86)), (0.0016, 0.0036)),
}
LUNA = Look(TAILED, ((176, 208, 156),), (0.0160, 0.0260))
ROSY = Look(DELTA, ((232, 176, 150),), (0.0050, 0.0080))
SPECIAL = {"Actias luna": LUNA, "Dryocampa rubicunda": ROSY}


def look_of(species: Species) -> Look:
    return SPECIAL.get(species.name, LOOKS[species.family])


@dataclass(frozen=True)
class Grid:
    """Coordinates of every pixel of one half: distance along a wing, angle, and noise."""

    x: Floats
    y: Floats
    fine: Floats
    coarse: Floats


def draw_moth(species: Species, *, seed: int) -> Image.Image:
    """Return an RGBA picture of the species, head up, cut to what is drawn.

    The same seed draws the same moth.
    """
    rng = np.random.default_rng([seed, species.gbif_key])
    look = look_of(species)
    grid = _grid(rng)
    base = np.asarray(look.palette[rng.integers(len(look.palette))], dtype=np.float32)
    base = np.clip(base * rng.uniform(0.88, 1.1) + rng.normal(0, 3, 3), 30, 236)
    layers = _layers(grid, look.pose, base.astype(np.float32), rng)
    half = np.zeros((SIZE, SIZE // 2, 4), dtype=np.float32)
    for layer in layers:
        _lay(half, layer)
    whole = np.concatenate([half[:, ::-1], half], axis=1)
    picture = Image.fromarray(np.clip(whole, 0, 255).astype(np.uint8), "RGBA")
    _antennae(picture, look.pose, base)
    return picture.crop(picture.getbbox())


def _layers(grid: Grid, pose: Pose, base: Floats, rng: np.random.Generator) -> list[Floats]:
    """From the sheet upwards."""
    hind = _wing(grid, pose.hind, base * 1.08, rng, root=(0.0, 0.0))
    fore = _wing(grid, pose.fore, base, rng, root=(0.0, -0.4))
    tail = (pose.length - 0.36) / 2, (pose.length + 0.36) / 2, pose.body * 0.78
    abdomen = _fur(grid, base * 0.84, *tail)
    head = _fur(grid, base * 0.66, -0.55, 0.08, pose.body * 0.62)
    thorax = _fur(grid, base * 0.9, -0.36, 0.17, pose.body)
    wings = [hind, abdomen, fore] if pose.closed else [hind, fore, abdomen]
    return [*wings, head, thorax]


def _grid(rng: np.random.Generator) -> Grid:
    y, x = np.mgrid[0:SIZE, 0 : SIZE // 2].astype(np.float32)
    return Grid(
        x=(x + 0.5) / (SIZE / 2),
        y=(y + 0.5) / (SIZE / 2) - 1,
        fine=_noise(rng, cells=SIZE // 3),
        coarse=_noise(rng, cells=18),
    )


def _noise(rng: np.random.Generator, *, cells: int) -> Floats:
    """Smooth noise about 0 with a spread of 1, `cells` of it across a sprite."""
    small = Image.fromarray(rng.normal(0, 1, (cells, cells // 2)).astype(np.float32))
    return np.asarray(small.resize((SIZE // 2, SIZE), Image.Resampling.BICUBIC))


def _mask(points: tuple[Point, ...]) -> Floats:
    """How much of each pixel a smooth outline through the points covers, 0 to 1."""
    scale = SIZE / 2 * OVERSAMPLING
    outline = [(x * scale, (y + 1) * scale) for x, y in _smooth(points)]
    canvas = Image.new("L", (SIZE // 2 * OVERSAMPLING, SIZE * OVERSAMPLING))
    ImageDraw.Draw(canvas).polygon(outline, fill=255)
    canvas = canvas.resize((SIZE // 2, SIZE), Image.Resampling.BOX)
    return np.asarray(canvas, dtype=np.float32) / 255


def _smooth(points: tuple[Point, ...]) -> list[Point]:
    """Cut the corners of a closed outline three times (Chaikin)."""
    corners = np.asarray(points)
    for _ in range(3):
        following = np.roll(corners, -1, axis=0)
        near, far = 0.8 * corners + 0.2 * following, 0.2 * corners + 0.8 * following
        corners = np.stack([near, far], axis=1).reshape(-1, 2)
    return [(max(0.0, float(x)), float(y)) for x, y in corners]


def _wing(
    grid: Grid, outline: tuple[Point, ...], base: Floats, rng: np.random.Generator, *, root: Point
) -> Floats:
    """A wing with cross lines, a discal spot, veins, a dark margin and a pale fringe."""
    mask = _mask(outline)
    distance = np.hypot(grid.x - root[0], grid.y - root[1])
    along = distance / max(float(distance[mask > 0.5].max()), 1e-6)
    angle = np.arctan2(grid.y - root[1], grid.x - root[0] + 0.02)
    tone = 1.0 + 0.10 * grid.coarse + 0.06 * grid.fine - 0.16 * (along - 0.5)
    tone += 0.05 * np.sin(angle * 26 + 0.6)  # veins
    wobble = 0.022 * np.sin(angle * rng.integers(9, 17)) + 0.012 * grid.coarse
    for place in rng.uniform((0.26, 0.52, 0.76), (0.36, 0.66, 0.88)):
        strength = rng.uniform(0.16, 0.48)
        tone -= strength * _bump(along + wobble, place, 0.016)
        tone += 0.5 * strength * _bump(along + wobble, place + 0.045, 0.022)
    if rng.random() < 0.5:
        tone -= rng.uniform(0.1, 0.26) * ((along > 0.36) & (along + wobble < 0.58))
    tone -= 0.5 * _spot(grid, outline, radius=rng.uniform(0.025, 0.05))
    inner = _blur(mask, 5)
    tone *= np.where(inner < 0.72, 0.72, 1.0)  # margin
    tone = np.where(inner < 0.58, 0.95 + 0.2 * np.sign(np.sin(angle * 60)), tone)  # fringe
    warm = 1 + 0.025 * grid.coarse[..., None] * np.asarray([1.0, 0.2, -1.0], dtype=np.float32)
    return np.dstack([base * tone[..., None] * warm, mask * 255]).astype(np.float32)


def _bump(values: Floats, centre: float, width: float) -> Floats:
    bump: Floats = np.exp(-(((values - centre) / width) ** 2))
    return bump


def _spot(grid: Grid, outline: tuple[Point, ...], *, radius: float) -> Floats:
    """A soft dot in the middle of the outline."""
    x, y = np.mean(outline, axis=0)
    spot: Floats = np.exp(-((grid.x - x) ** 2 + (grid.y - y) ** 2) / radius**2)
    return spot


def _fur(grid: Grid, base: Floats, centre: float, half_length: float, half_width: float) -> Floats:
    """A furry ellipse on the axis, ringed behind the wings' root."""
    inside = (grid.x / half_width) ** 2 + ((grid.y - centre) / half_length) ** 2
    cover = np.clip((1.08 + 0.10 * grid.fine - inside) * 5, 0, 1)
    tone = 1.14 - 0.5 * np.clip(inside, 0, 1.2) + 0.10 * grid.fine
    tone *= 1 - 0.14 * (np.sin(grid.y * 62) > 0.55) * (grid.y > -0.14)
    return np.dstack([base * tone[..., None], cover * 255]).astype(np.float32)


def _lay(half: Floats, layer: Floats) -> None:
    """Paint a layer over what is there, with a soft shadow under its edge."""
    cover = layer[..., 3:] / 255
    shadow = 1 - 0.35 * _blur(cover[..., 0], 7)[..., None]
    half[..., :3] = half[..., :3] * shadow * (1 - cover) + layer[..., :3] * cover
    half[..., 3:] = np.maximum(half[..., 3:], layer[..., 3:])


def _blur(values: Floats, radius: float) -> Floats:
    picture = Image.fromarray((values * 255).astype(np.uint8))
    blurred = picture.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred, dtype=np.float32) / 255


def _antennae(picture: Image.Image, pose: Pose, base: Floats) -> None:
    pen = ImageDraw.Draw(picture)
    middle, top = SIZE / 2, SIZE * 0.21
    red, green, blue = (int(value * 0.55) for value in base)
    spread = 0.14 + pose.body * 0.5
    for side in (-1, 1):
        tip = (middle + side * spread * SIZE / 1.6, top - 0.1 * SIZE)
        bend = (middle + side * spread * SIZE / 3, top - 0.09 * SIZE)
        pen.line([(middle + side * 4, top), bend, tip], fill=(red, green, blue, 230), width=2)

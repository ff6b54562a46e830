"""The events at the two traps: which moth is where on which capture."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from ami.main.management.demo.frames import HEIGHT, WIDTH
from ami.main.management.demo.species import Species, load_species
from ami.main.management.demo.sprites import look_of

TIME_ZONE = "America/New_York"
NIGHTS = (date(2024, 6, 21), date(2024, 6, 22), date(2024, 6, 23))
FIRST_FRAME = time(21, 40)
INTERVAL = timedelta(minutes=25)
FRAMES = 12
MOTHS = 42  # that come to one trap in one night
FAUNA = 60  # species that fly around one trap
SMALL_AREA = (0.00028, 0.00070)  # shares of the frame
SMALL_FAMILIES = {"Crambidae", "Tortricidae", "Pyralidae", "Pterophoridae"}
REGULARS = ("Actias luna", "Dryocampa rubicunda", "Lophocampa caryae", "Ctenucha virginica")
EDGE = 170  # pixels that no centre comes near, so that no moth is cut off


class Trap(NamedTuple):
    name: str
    slug: str
    latitude: float
    longitude: float


TRAPS = (
    Trap("Beaver Brook", "beaver-brook", 44.4126, -72.0146),
    Trap("Ridge Meadow", "ridge-meadow", 44.0317, -72.8312),
)


class Sighting(NamedTuple):
    """A moth on one capture; centre in pixels, angle in degrees, area as a share of the frame."""

    frame: int
    centre: tuple[float, float]
    angle: float
    area: float


class Moth(NamedTuple):
    """One individual on consecutive captures of one night."""

    species: Species
    sightings: tuple[Sighting, ...]


def frame_times(night: date) -> list[datetime]:
    start = datetime.combine(night, FIRST_FRAME, ZoneInfo(TIME_ZONE)).astimezone(UTC)
    return [start + INTERVAL * number for number in range(FRAMES)]


def tell_night(*, seed: int, trap: int, night: int) -> list[Moth]:
    """Return the moths of one night at one trap, which do not overlap."""
    rng = np.random.default_rng([seed, trap, night])
    fauna = _fauna(np.random.default_rng([seed, trap]))
    small_fauna = [species for species in load_species() if species.family in SMALL_FAMILIES]
    moths: list[Moth] = []
    for number in range(MOTHS):
        small = number % 11 == 5
        choice = small_fauna if small else fauna
        species = choice[number if number < len(REGULARS) else int(rng.integers(len(choice)))]
        area = rng.uniform(*(SMALL_AREA if small else look_of(species).area))
        moths += _visit(species, float(area), moths, rng)
    return moths


def _fauna(rng: np.random.Generator) -> list[Species]:
    """Return the regular species first, then a random selection of the others."""
    known = load_species()
    regulars = [species for name in REGULARS for species in known if species.name == name]
    drawn = rng.choice(len(known), FAUNA, replace=False)
    return regulars + [known[index] for index in drawn]


def _visit(
    species: Species, area: float, others: list[Moth], rng: np.random.Generator
) -> Iterator[Moth]:
    """Yield the moth with its captures, or nothing if the sheet is full."""
    first = int(rng.integers(FRAMES))
    last = min(first + int(rng.geometric(0.24)), FRAMES)
    present = [
        sighting for moth in others for sighting in moth.sightings if first <= sighting.frame < last
    ]
    for _ in range(40):
        centre = rng.uniform(EDGE, WIDTH - EDGE), rng.uniform(EDGE, HEIGHT - EDGE)
        if all(_clear(centre, area, sighting) for sighting in present):
            yield Moth(species, tuple(_stay(range(first, last), centre, area, rng)))
            return


def _clear(centre: tuple[float, float], area: float, other: Sighting) -> bool:
    reach = (math.sqrt(area) + math.sqrt(other.area)) * math.sqrt(WIDTH * HEIGHT) * 0.75
    return math.dist(centre, other.centre) > reach + 8


def _stay(
    frames: range, centre: tuple[float, float], area: float, rng: np.random.Generator
) -> Iterator[Sighting]:
    """Move the moth slightly; on one in twelve captures its wings are folded."""
    angle = rng.uniform(0, 360)
    for frame in frames:
        folded = len(frames) > 2 and rng.random() < 1 / 12
        yield Sighting(frame, centre, float(angle), area * (0.45 if folded else 1.0))
        step = rng.normal(0, 2.0, 2)
        centre = float(centre[0] + step[0]), float(centre[1] + step[1])
        angle += rng.normal(0, 2.5)

"""The files of the demo project: captures and crops."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from django.conf import settings
from PIL import Image

from ami.main.management.demo.frames import (
    HEIGHT,
    WIDTH,
    Box,
    add_gnats,
    draw_grain,
    draw_sheet,
    expose,
    place_moth,
)
from ami.main.management.demo.species import Species
from ami.main.management.demo.sprites import draw_moth
from ami.main.management.demo.story import NIGHTS, TRAPS, Moth, Sighting, frame_times


class Crop(NamedTuple):
    """One moth on one capture: its index in the night, its box and its file."""

    moth: int
    box: Box
    path: str

    @property
    def area(self) -> float:
        """The area as a share of the frame."""
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1) / (WIDTH * HEIGHT)


class Frame(NamedTuple):
    """A capture and its moths; paths are relative to the media root."""

    path: str
    time: datetime
    crops: list[Crop]


class Studio:
    """Draws the nights of one seed. Each sheet and each species is drawn only once."""

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        self.sprites: dict[Species, Image.Image] = {}
        self.grain = draw_grain(np.random.default_rng(seed))
        self.sheets = [
            draw_sheet(np.random.default_rng([seed, 9, trap])) for trap in range(len(TRAPS))
        ]

    def draw_night(self, moths: list[Moth], *, trap: int, night: int) -> list[Frame]:
        """Write the files of one night and return its captures."""
        return [
            self._draw_frame(moths, number, time, trap=trap, night=night)
            for number, time in enumerate(frame_times(NIGHTS[night]))
        ]

    def _draw_frame(
        self, moths: list[Moth], number: int, time: datetime, *, trap: int, night: int
    ) -> Frame:
        rng = np.random.default_rng([self.seed, trap, night, number])
        picture = expose(
            self.sheets[trap],
            self.grain,
            brightness=float(rng.uniform(0.93, 1.03)),
            shift=(int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))),
        )
        add_gnats(picture, rng)
        boxes = [
            (index, self._place(picture, moth.species, sighting))
            for index, moth in enumerate(moths)
            for sighting in moth.sightings
            if sighting.frame == number
        ]
        folder = f"demo/{TRAPS[trap].slug}/{NIGHTS[night]}"
        stamp = time.strftime("%Y%m%d%H%M%S")
        path = f"captures/{folder}/{stamp}.jpg"
        save(picture, path, quality=82)
        crops = [
            Crop(index, box, f"crops/{folder}/{stamp}-{index:02d}.jpg") for index, box in boxes
        ]
        for crop in crops:
            save(picture.crop(crop.box), crop.path, quality=88)
        return Frame(path, time, crops)

    def _place(self, picture: Image.Image, species: Species, sighting: Sighting) -> Box:
        if species not in self.sprites:
            self.sprites[species] = draw_moth(species, seed=self.seed)
        return place_moth(
            picture,
            self.sprites[species],
            centre=sighting.centre,
            angle=sighting.angle,
            area=sighting.area * WIDTH * HEIGHT,
        )


def save(picture: Image.Image, path: str, *, quality: int) -> None:
    file = Path(settings.MEDIA_ROOT) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, quality=quality)

"""The moths of the demo project: real names, each with its genus and family."""

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("species.csv")
ORDER = "Lepidoptera"


class Species(NamedTuple):
    name: str
    genus: str
    family: str
    gbif_key: int


@cache
def load_species() -> tuple[Species, ...]:
    """Return all species, sorted by family, genus and name."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Species(row["species"], row["genus"], row["family"], int(row["gbif_key"]))
            for row in csv.DictReader(file)
        )

"""Deployments in tables: their cells, and several rows with one name."""

from collections.abc import Mapping
from datetime import time
from functools import partial

from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_time

from ami.exchange.base import NIGHT_STARTS, TIME_ZONE, check_text
from ami.exchange.reading.records import FACTS, DeploymentRecord, Skipped
from ami.exchange.reading.rows import Row, number
from ami.exchange.tables import LONGEST_CELL
from ami.main.models.deployment import validate_time_zone


def _check_time_zone(value: str) -> str:
    try:
        validate_time_zone(value)
    except ValidationError:
        raise ValueError("must be an IANA time zone, such as America/Montreal") from None
    return value


def _check_time_of_day(value: str) -> time:
    try:
        found = parse_time(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo:
        raise ValueError("must be a time of day, such as 12:00")
    return found


def _check_description(value: str) -> str:
    return check_text(value, length=LONGEST_CELL)


def described(
    row: Row, name: str, told: Mapping[str, str], *, coordinates: tuple[str, str] | None, text: str
) -> DeploymentRecord:
    """Return what a row says about the deployment `name`.

    `told` holds what has no columns, by its keys. `coordinates` are the columns of latitude and
    longitude, None if theirs cannot be used, and `text` is that of the description.
    """
    latitude, longitude = coordinates or ("", "")
    return DeploymentRecord(
        place=row.place,
        name=name,
        latitude=row.value(latitude, partial(_degrees, most=90)),
        longitude=row.value(longitude, partial(_degrees, most=180)),
        time_zone=row.part(TIME_ZONE, _check_time_zone, told.get(TIME_ZONE, "")) or "",
        night_starts=row.part(NIGHT_STARTS, _check_time_of_day, told.get(NIGHT_STARTS, "")),
        description=row.value(text, _check_description) or "",
    )


class Places(dict[str, DeploymentRecord]):
    """What the rows of a file say about each deployment, by its name."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def add(self, one: DeploymentRecord) -> Skipped | None:
        """Remember what a row says. Returns what is left out, because it contradicts a former one.

        Of each deployment, only the first contradiction is told.
        """
        first = self.setdefault(one.name, one)
        known, told = first.facts, one.facts
        self[one.name] = first._replace(**(told | known))
        differs = [
            name for name in FACTS if name in known and told.get(name, known[name]) != known[name]
        ]
        if not differs or one.name in self._told:
            return None
        self._told.add(one.name)
        names = ", ".join(name.replace("_", " ") for name in differs)
        reason = f"has another {names} than in {first.place}, which counts"
        return Skipped(one.place, one.name, reason)


def _degrees(value: str, *, most: int) -> float:
    found = number(value)
    if not abs(found) <= most:  # neither is NaN
        raise ValueError(f"must be a number of degrees from -{most} to {most}")
    return found

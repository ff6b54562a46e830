"""Reading and validation of Antenna's occurrence export."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime
from pydantic import BaseModel, Field, ValidationError, parse_obj_as, validator

from ami.exchange.base import ImportRefusedError, check_text, read_text, shown

Location = tuple[int | str, ...]
MAX_PIXELS = 2**31 - 1

STANDARD_FAULTS = {
    "type_error.dict": "must be an object",
    "type_error.none.not_allowed": "must be an object",
    "type_error.list": "must be a list",
}


def is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= MAX_PIXELS


def check_name(value: Any) -> str:
    return check_text(value, length=255).strip()


def check_path(value: Any) -> str:
    return check_text(value, length=1024)


def check_crop_path(value: Any) -> str | None:
    return check_path(value) if value else None


def check_size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_PIXELS:
        raise ValueError("must be a whole number of pixels above 0")
    return value


def check_score(value: Any) -> float:
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def check_box(value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        raise ValueError("must be four finite numbers x1, y1, x2, y2")
    return [float(number) for number in value]


def check_time(value: Any) -> datetime:
    """Return an aware time in UTC."""
    with suppress(TypeError, ValueError, OverflowError):
        time = parse_datetime(value)
        if time is not None and time.tzinfo is not None:
            return time.astimezone(UTC)
    raise ValueError("must be a time with its offset, such as 2022-06-21T09:23:00Z")


def check_day(value: Any) -> date:
    try:
        time = parse_datetime(value)
        day = time.date() if time else parse_date(value)
    except (TypeError, ValueError):
        day = None
    if day is None:
        raise ValueError("must be a date, such as 2022-06-20")
    return day


def check_examples(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of at least one detection")
    return value


class Example(BaseModel):
    """One detection: a box on a capture, with its label."""

    capture_path: str = Field(alias="source_image_path")
    width: int = Field(alias="source_image_width")
    height: int = Field(alias="source_image_height")
    timestamp: datetime
    crop_path: str | None = Field(None, alias="cropped_image_path")
    bbox: list[float]
    label: str
    score: float

    _path = validator("capture_path", pre=True, allow_reuse=True)(check_path)
    _size = validator("width", "height", pre=True, allow_reuse=True)(check_size)
    _time = validator("timestamp", pre=True, allow_reuse=True)(check_time)
    _box = validator("bbox", pre=True, allow_reuse=True)(check_box)
    _label = validator("label", pre=True, allow_reuse=True)(check_name)
    _score = validator("score", pre=True, allow_reuse=True)(check_score)
    _crop = validator("crop_path", pre=True, allow_reuse=True)(check_crop_path)


class Night(BaseModel):
    day: date

    _day = validator("day", pre=True, allow_reuse=True)(check_day)


class Record(BaseModel):
    """One occurrence: an individual with all of its detections."""

    id: str
    label: str
    deployment: str
    event: Night
    examples: list[Example]

    _names = validator("id", "label", "deployment", pre=True, allow_reuse=True)(check_name)
    _examples = validator("examples", pre=True, allow_reuse=True)(check_examples)


def read_occurrences(path: Path, *, deployment: str | None = None) -> list[Record]:
    """Return the records of an export. `deployment` replaces the deployments' names.

    Raises ImportRefusedError with the path to each fault, such as
    `[3].examples[0].bbox: must be four finite numbers …, got [1, 2, 3].`
    """
    data = _load(path)
    if deployment:
        data = [
            item | {"deployment": deployment} if isinstance(item, dict) else item for item in data
        ]
    try:
        records = parse_obj_as(list[Record], data)
    except ValidationError as error:
        raise ImportRefusedError(*(_sentence(fault, data) for fault in error.errors())) from None
    if faults := [*_contradictions(records)]:
        raise ImportRefusedError(*faults)
    return records


def _load(path: Path) -> list[Any]:
    text = read_text(path)
    try:
        data = json.loads(text)
    except RecursionError:
        raise ImportRefusedError(
            f"{path} is not an occurrence export: it has too many nested levels."
        ) from None
    except ValueError as error:
        raise ImportRefusedError(f"{path} is not JSON: {error}.") from None
    if not isinstance(data, list) or not data:
        raise ImportRefusedError(
            f"{path} must contain a list of at least one occurrence, got {shown(data)}."
        )
    return data


def _sentence(fault: Any, data: Any) -> str:
    location = fault["loc"][1:]  # pydantic calls the list itself `__root__`
    if fault["type"] == "value_error.missing":
        return f"{_path(location)}: is missing."
    value = data
    for step in location:
        value = value[step]
    message = STANDARD_FAULTS.get(fault["type"], fault["msg"])
    return f"{_path(location)}: {message}, got {shown(value)}."


def _path(location: Location) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).lstrip(".")


def _contradictions(records: list[Record]) -> Iterator[str]:
    """Yield faults between fields: duplicate rows, and captures with different values."""
    ids: dict[Any, str] = {}
    detections: dict[Any, str] = {}
    captures: dict[Any, tuple[str, Any]] = {}
    for number, record in enumerate(records):
        here = f"[{number}].id"
        if (first := ids.setdefault(record.id, here)) != here:
            yield f"{here}: {shown(record.id)} is also at {first}; each id may occur only once."
        for index, example in enumerate(record.examples):
            here = f"[{number}].examples[{index}]"
            capture = record.deployment, example.capture_path
            first = detections.setdefault((capture, detection_key(example)), here)
            if first != here:
                yield f"{here}: is the same detection as {first}; each may occur only once."
            facts = (example.timestamp, example.width, example.height, record.event.day)
            first, known = captures.setdefault(capture, (here, facts))
            if facts != known:
                yield (
                    f"{here}: time, size or night of capture {shown(example.capture_path)} "
                    f"differ from those at {first}."
                )


def detection_key(example: Example) -> str | tuple[float, ...]:
    """Return what identifies a detection within its capture: its crop, or else its box."""
    return example.crop_path or tuple(example.bbox)

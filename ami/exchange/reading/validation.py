"""Checks of the values in a file; each raises ValueError with a predicate of the value."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from django.utils.dateparse import parse_date, parse_datetime

from ami.exchange.base import check_text

Checked = TypeVar("Checked")
MAX_PIXELS = 2**31 - 1
MAX_PATH_BYTES = 2600  # in UTF-8; an index of PostgreSQL holds no longer ones
MAX_NOTE = 10_000
# Others are no times of cameras, and their neighbours may be out of the range of Python.
YEARS = range(2, 9999)

EXIF_DAY = re.compile(r"^(\d{4}):(\d\d):(\d\d)(?= )")
ROUNDING = 1e-3  # of boxes as fractions, which have few digits


def is_number(value: Any) -> bool:
    """Whether the value is a finite number that may be a coordinate in pixels."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= MAX_PIXELS


def optional(check: Callable[[Any], Checked]) -> Callable[[Any], Checked | None]:
    """Return the check for a value that may be null or an empty text."""
    return lambda value: None if value is None or value == "" else check(value)


def check_name(value: Any) -> str:
    return check_text(value, length=255).strip()


def check_note(value: Any) -> str:
    """Return a text that may be empty, such as a comment."""
    return "" if value == "" else check_text(value, length=MAX_NOTE).strip()


def check_path(value: Any) -> str:
    path = check_text(value, length=1024)
    if len(path.encode()) > MAX_PATH_BYTES:
        raise ValueError(f"must be at most {MAX_PATH_BYTES:,} bytes long")
    return path


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


def check_camera_time(value: Any) -> datetime:
    """Return what :func:`check_local_time` does; cameras also write 2022:06:21 23:23:00."""
    return check_local_time(EXIF_DAY.sub(r"\1-\2-\3", value) if isinstance(value, str) else value)


def check_file_name(value: Any) -> str:
    """Return the path of a capture, in which the folders of Windows are divided by slashes."""
    return check_path(value.replace("\\", "/") if isinstance(value, str) else value)


def check_corner_and_size(value: Any) -> list[float]:
    """Return x1, y1, x2, y2 of a box that is given as x, y, width and height."""
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        raise ValueError("must be four finite numbers x, y, width, height")
    x, y, width, height = map(float, value)
    if width <= 0 or height <= 0:
        raise ValueError("must have a width and a height above 0")
    return [x, y, x + width, y + height]


def check_share_box(value: Any) -> list[float]:
    """Return the same of a box in shares of its capture; what rounding adds is cut off."""
    box = check_corner_and_size(value)
    if min(box) < -ROUNDING or max(box) > 1 + ROUNDING:
        raise ValueError("must lie within 0 and 1: x, y, width, height in shares of the capture")
    return [min(max(number, 0.0), 1.0) for number in box]


def check_time(value: Any) -> datetime:
    """Return an aware time in UTC."""
    with suppress(TypeError, ValueError, OverflowError):
        time = parse_datetime(value)
        if time is not None and time.tzinfo is not None and time.year in YEARS:
            return time.astimezone(UTC)
    raise ValueError("must be a time with its offset, such as 2022-06-21T09:23:00Z")


def check_local_time(value: Any) -> datetime:
    """Return a time as it is written: without a zone, it is the local time of the deployment."""
    with suppress(TypeError, ValueError, OverflowError):
        time = parse_datetime(value)
        if time is not None and time.year in YEARS:
            return time if time.tzinfo is None else time.astimezone(UTC)
    raise ValueError("must be a time, such as 2022-06-21T23:23:00")


def check_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def check_id(value: Any) -> str:
    """Return an id as text; exports write it as text or as a whole number."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return check_name(str(value) if is_whole else value)


def check_day(value: Any) -> date:
    try:
        time = parse_datetime(value)
        day = time.date() if time else parse_date(value)
    except (TypeError, ValueError):
        day = None
    if day is None or day.year not in YEARS:
        raise ValueError("must be a date, such as 2022-06-20")
    return day

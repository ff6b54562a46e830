"""What the files of Antenna have in common: its algorithms, names of nights, and addresses."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from django.utils.dateparse import parse_date

from ami.exchange.reading.json_row import JsonRow
from ami.exchange.reading.records import AlgorithmRecord
from ami.exchange.reading.validation import YEARS, check_name, check_path
from ami.ml.models import AlgorithmTaskType

NOON = 12
ISO_DAY = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
# "Jun 20, 2022", "June 20-21, 2022", "Jun 30-Jul 1, 2022", "Dec 31, 2021 - Jan 1, 2022"
SPAN = re.compile(
    r"\b(?P<month>[A-Z][a-z]{2})[a-z]*\.? (?P<day>\d{1,2})(?:,? (?P<year>\d{4}))?"
    r"(?: ?[-\N{EN DASH}] ?(?:(?P<end_month>[A-Z][a-z]{2})[a-z]*\.? )?(?P<end_day>\d{1,2})\b)?"
    r"(?:,? (?P<end_year>\d{4}))?"
)
NAMED_TIME = re.compile(r"(?<!\d)(?:19|20)\d{12}(?!\d)")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SIGNATURES = frozenset({"signature", "sig", "x-amz-signature", "x-goog-signature"})
MAX_VERSION = 2**31 - 1
UNKNOWN = AlgorithmTaskType.UNKNOWN.value


def algorithm_of(row: JsonRow) -> AlgorithmRecord:
    """Return the algorithm that an object describes. A task that is not known becomes `unknown`."""
    task = row.get("task_type", str, UNKNOWN)
    return AlgorithmRecord(
        name=row.need("name", check_name, ""),
        version=row.get("version", _check_version, 1),
        task_type=task if task in AlgorithmTaskType else UNKNOWN,
    )


def _check_version(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_VERSION:
        raise ValueError("must be a whole number of at least 0")
    return value


def night_of(label: str | None, at: datetime | None) -> date | None:
    """Return the date on which the night began that Antenna calls by `label`, if it tells that.

    The label has the days on which the captures of the night lie. If the local time `at` of a
    capture is before noon of the first of these days, the night began on the day before, or not,
    depending on the hour at which the deployment divides its nights; then None is returned.
    """
    day = _first_day(label or "")
    if day and day.year not in YEARS:
        return None
    if day and at and at.tzinfo is None and at.date() == day and at.hour < NOON:
        return None
    return day


def lasting(address: Any) -> str:
    """Return the path or address of a picture, without a signature that expires."""
    if isinstance(address, str) and "?" in address:
        base, _, query = address.partition("?")
        if any(name.lower() in SIGNATURES for name, _ in parse_qsl(query)):
            return check_path(base)
    return check_path(address)


def time_in_name(path: str) -> datetime | None:
    """Return the local time in the file name of a capture, such as 84-20220916202959-snapshot.jpg.

    The cameras of many traps name their pictures so, and Antenna reads the time from there.
    """
    for found in NAMED_TIME.findall(path.rpartition("/")[2]):
        with suppress(ValueError):
            return datetime.strptime(found, "%Y%m%d%H%M%S")
    return None


@lru_cache
def _first_day(label: str) -> date | None:
    for found in ISO_DAY.findall(label):
        with suppress(ValueError):
            return parse_date(found)
    return next((day for found in SPAN.finditer(label) for day in _days(found)), None)


def _days(found: re.Match[str]) -> Iterator[date]:
    """Yield the day that the span begins with, unless it has no year or is no date.

    Only the last day of a span may have a year, so the span of a New Year's night begins in the
    year before.
    """
    if not (found["year"] or found["end_year"]):
        return
    with suppress(ValueError):  # of a month or a day that does not exist
        month = MONTHS.index(found["month"]) + 1
        year = int(found["year"] or found["end_year"])
        crosses = not found["year"] and found["end_day"] and month == len(MONTHS)
        if crosses and int(found["end_day"]) < int(found["day"]):
            year -= 1
        yield date(year, month, int(found["day"]))

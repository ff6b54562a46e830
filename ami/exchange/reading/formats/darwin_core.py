"""Darwin Core Archives, of events or occurrences, with pictures.

Occurrences have no boxes here. One with pictures of its own, which only archives of occurrences
tell, is one on the whole of each.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading import subjects, validation
from ami.exchange.reading.dwca import META, TAXON, DwcTable, tables_of
from ami.exchange.reading.files import Files
from ami.exchange.reading.places import Places, described
from ami.exchange.reading.records import (
    WHOLE,
    CaptureRecord,
    ClassificationRecord,
    DeploymentRecord,
    DetectionRecord,
    EmptyCapture,
    IdentificationRecord,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.rows import Row
from ami.exchange.reading.spool import Part, Spool
from ami.exchange.reading.start import Start

# Names of the datum of GPS, and none.
DATUMS = frozenset({"", "EPSG:4326", "WGS84", "WGS-84", "WGS1984", "NOTRECORDED", "UNKNOWN"})
CORES = frozenset({"Event", "Occurrence"})
OCCURRENCE, PICTURES = "Occurrence", "Multimedia"


class _Event(NamedTuple):
    """What a row of the core says about its pictures; `shows` whether they show its occurrence."""

    deployment: str
    at: datetime | None
    shows: bool


class _Seen(NamedTuple):
    """An occurrence."""

    place: str
    key: str
    label: str
    person: str
    comment: str
    at: datetime | None


def recognises(start: Start) -> bool:
    names = (start.path.name, *start.names)
    return start.core != TAXON and any(name.rpartition("/")[2] == META for name in names)


def read(path: Path) -> Iterator[Item]:
    with Files.opened(path, META) as files, Spool.opened() as spool:
        core, *extensions = tables_of(files)
        if core.kind not in CORES:
            raise ImportRefusedError(
                f"{path} is an archive of {core.kind or 'unknown'} rows, not of events or "
                "occurrences."
            )
        yield from _keep_core(core, files, spool)
        for table in extensions:
            for key, row in table.rows(files) if table.kind in {OCCURRENCE, PICTURES} else ():
                if table.kind == PICTURES:
                    yield from _keep(row, key, spool)
                else:
                    yield Skipped(row.place, _name(row), subjects.NO_OWN_PICTURE)
        for place, _, capture in spool.captures():
            yield EmptyCapture(place, capture)
        for parts in spool.bundles():
            yield _occurrence(parts)


def _keep_core(core: DwcTable, files: Files, spool: Spool) -> Iterator[Item]:
    """Keep the place and the time of each event or occurrence; at the end, tell the places."""
    places = Places()
    for number, (key, row) in enumerate(core.rows(files)):
        place = row.value("locality", validation.check_name) or row.value(
            "locationID", validation.check_name
        )
        if not key:
            row.fault("The id", "is empty", key)
        elif spool.details(key):
            row.fault("The id", "occurs twice", key)
        elif not row.faults:
            reason = _why_skipped(row) if core.kind == OCCURRENCE else ""
            if reason:
                yield Skipped(row.place, _name(row), reason)
            is_seen = core.kind == OCCURRENCE and not reason
            at = _moment(row.text("eventDate"))
            spool.add_detail(key, number, _Event(place or "", at, is_seen))
            if is_seen:
                spool.add_part(key, _seen(row, key))
            if place and (contradiction := places.add(_described(row, place))):
                yield contradiction
        yield from row.faults
    yield from places.values()


def _described(row: Row, name: str) -> DeploymentRecord:
    is_known = row.text("geodeticDatum").upper().replace(" ", "") in DATUMS
    columns = ("decimalLatitude", "decimalLongitude") if is_known else None
    told = _properties(row.text("dynamicProperties"))
    return described(row, name, told, coordinates=columns, text="locationRemarks")


def _properties(text: str) -> dict[str, str]:
    """Return our own properties; the standard leaves open what others write here."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict):
            return {key: one for key, one in found.items() if isinstance(one, str)}
    return {}


def _why_skipped(row: Row) -> str:
    if row.text("occurrenceStatus").lower() == "absent":
        return subjects.ABSENT
    try:
        validation.check_name(row.text("scientificName") or OCCURRENCE)
    except ValueError as error:
        return f"has a name that {error}"
    return ""


def _name(row: Row) -> str:
    return row.text("scientificName") or row.text("occurrenceID") or OCCURRENCE


def _seen(row: Row, key: str) -> _Seen:
    return _Seen(
        row.place,
        key,
        row.text("scientificName"),
        row.text("identifiedBy"),
        row.text("identificationRemarks"),
        _moment(row.text("dateIdentified")),
    )


def _occurrence(parts: list[Part]) -> Item:
    """The occurrence of an archive of occurrences, whose other parts are its pictures."""
    seen: _Seen = parts[0].value
    found: dict[str, DetectionRecord] = {}
    for place, capture, _, shared in parts[1:]:
        one = DetectionRecord(place, capture, WHOLE, fractions=True, whole=True, shared=shared)
        found.setdefault(capture.path, one)
    if not found:
        return Skipped(seen.place, seen.label or seen.key, subjects.NO_OWN_PICTURE)
    identifications = []
    if seen.label and seen.person:
        person = IdentificationRecord(seen.label, seen.person, seen.comment, timestamp=seen.at)
        identifications.append(person)
    elif seen.label:  # by nobody who is named, and perhaps by a machine
        for one in found.values():
            one.classifications.append(ClassificationRecord(seen.label, None))
    return OccurrenceRecord(
        seen.place, [*found.values()], seen.key, identifications=identifications
    )


def _keep(row: Row, key: str, spool: Spool) -> Iterator[Item]:
    """Keep a picture once, though several occurrences may show it."""
    column = "accessURI" if row.text("accessURI") else "identifier"
    kinds = row.text("type"), row.text("format")
    if any(kinds) and not ("StillImage" in kinds[0] or kinds[1].startswith("image/")):
        yield Skipped(row.place, row.text(column) or kinds[0] or kinds[1], subjects.NO_PICTURE)
        return
    path = row.required(column, validation.check_file_name)
    found = spool.details(key)
    if not found:
        row.fault("The id", "must be that of a row of the core", key)
    if path and not row.faults:
        event: _Event = found[0]
        at = _moment(row.text("created")) or _moment(row.text("CreateDate")) or event.at
        capture = f"{event.deployment}\0{path}"
        spool.add_capture(capture, row.place, CaptureRecord(event.deployment, path, at))
        if event.shows:
            spool.add_part(key, row.place, capture=capture, whole=True)
    yield from row.faults


def _moment(text: str) -> datetime | None:
    """Return a time; Darwin Core also allows days, years and intervals, which are none."""
    with suppress(ValueError):
        return validation.check_local_time(text)
    return None


register(
    Reader(
        key="darwin_core",
        name="a Darwin Core Archive",
        description="Events or occurrences with pictures. Occurrences have no boxes here, so they "
        "are imported on demand only.",
        recognises=recognises,
        read=read,
    )
)

"""Darwin Core Archives, of events or occurrences, with pictures.

Occurrences have no boxes here, so that only the pictures can be imported.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading import subjects, validation
from ami.exchange.reading.dwca import META, DwcTable, tables_of
from ami.exchange.reading.files import Files
from ami.exchange.reading.places import Places, described
from ami.exchange.reading.records import (
    CaptureRecord,
    DeploymentRecord,
    EmptyCapture,
    Item,
    Skipped,
)
from ami.exchange.reading.registry import READERS, Reader
from ami.exchange.reading.rows import Row
from ami.exchange.reading.spool import Spool
from ami.exchange.reading.start import Start

# Names of the datum of GPS, and none.
DATUMS = frozenset({"", "EPSG:4326", "WGS84", "WGS-84", "WGS1984", "NOTRECORDED", "UNKNOWN"})
CORES = frozenset({"Event", "Occurrence"})
OCCURRENCE, PICTURES = "Occurrence", "Multimedia"


def recognises(start: Start) -> bool:
    return start.path.name == META or any(name.rpartition("/")[2] == META for name in start.names)


def read(path: Path) -> Iterator[Item]:
    with Files.opened(path, META) as files, Spool.opened() as spool:
        core, *extensions = tables_of(files)
        if core.kind not in CORES:
            remedy = " Import its table as a name list." if core.kind == "Taxon" else ""
            raise ImportRefusedError(
                f"{path} is an archive of {core.kind or 'unknown'} rows, not of events or "
                f"occurrences.{remedy}"
            )
        yield from _keep_core(core, files, spool)
        for table in extensions:
            for key, row in table.rows(files) if table.kind in {OCCURRENCE, PICTURES} else ():
                yield from _skipped(row) if table.kind == OCCURRENCE else _keep(row, key, spool)
        for place, _, capture in spool.captures():
            yield EmptyCapture(place, capture)


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
            row.fault("The id", "stands twice", key)
        elif not row.faults:
            spool.add_detail(key, number, (place or "", _moment(row.text("eventDate"))))
            if place and (contradiction := places.add(_described(row, place))):
                yield contradiction
        yield from row.faults
        if core.kind == OCCURRENCE:
            yield from _skipped(row)
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


def _skipped(row: Row) -> Iterator[Item]:
    name = row.text("scientificName") or row.text("occurrenceID") or OCCURRENCE
    yield Skipped(row.place, name, subjects.NO_BOX)


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
        place, at = found[0]
        at = _moment(row.text("created")) or _moment(row.text("CreateDate")) or at
        spool.add_capture(f"{place}\0{path}", row.place, CaptureRecord(place, path, at))
    yield from row.faults


def _moment(text: str) -> datetime | None:
    """Return a time; Darwin Core also allows days, years and intervals, which are none."""
    with suppress(ValueError):
        return validation.check_local_time(text)
    return None


READERS.register(
    "darwin_core",
    Reader(
        key="darwin_core",
        name="a Darwin Core Archive",
        description="Events or occurrences with pictures, of which the pictures are imported.",
        recognises=recognises,
        read=read,
    ),
)

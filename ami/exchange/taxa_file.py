"""Reading and validation of a checklist of species.

The columns are those of a name list matched against the GBIF backbone:

- `search_species` is the name that the checklist uses and `gbif_species` the accepted name that
  GBIF matched it to; `accepted_taxon_key` is the key of the accepted one.
- In a SYNONYM row the searched name is a synonym of the matched one. If both are equal, no
  accepted name is known, and the name is used itself.
- In any other row, if the two differ, the searched name is another spelling of the same name.
- The status NotAvail is a name without a match. NotAvail as `gbif_species` with another status is
  a match of the genus only: the species keeps its searched name, without a key.
- `genus`, `family` and `order` are those of the accepted name, which may begin with another genus.
"""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from ami.exchange.base import ImportRefusedError, check_text, read_text, shown

NOT_AVAILABLE = "NotAvail"
STATUSES = {"ACCEPTED", "DOUBTFUL", "SYNONYM", NOT_AVAILABLE}
NAMES = ("search_species", "gbif_species", "genus", "family", "order")
COLUMNS = ("accepted_taxon_key", *NAMES, "status")


class ChecklistRow(NamedTuple):
    """One matched name of a checklist and the accepted taxon that it stands for."""

    line: int
    name: str
    accepted: str
    is_synonym: bool
    gbif_key: int | None
    genus: str
    family: str
    order: str


class Checklist(NamedTuple):
    """The matched rows, and the lines and names of rows without a match."""

    rows: list[ChecklistRow]
    unmatched: list[tuple[int, str]]


def read_checklist(path: Path) -> Checklist:
    """Return the rows of a checklist; raises ImportRefusedError with the line of each fault."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    checklist = Checklist([], [])
    faults: list[str] = []
    try:
        header = _header(next(reader, []))
        for cells in filter(None, reader):
            try:
                _add_row(checklist, reader.line_num, _by_column(header, cells))
            except ValueError as error:
                faults.append(f"line {reader.line_num}: {error}.")
    except csv.Error as error:
        faults.append(f"line {reader.line_num}: is not valid CSV, {error}.")
    if not faults and not checklist.rows:
        faults.append(f"{path} contains no species with a GBIF match.")
    if faults:
        raise ImportRefusedError(*faults)
    return checklist


def _header(cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if missing := [column for column in COLUMNS if column not in header]:
        raise ImportRefusedError(
            f"line 1: must contain the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}."
        )
    return header


def _by_column(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise ValueError(f"has {len(cells)} cells, but the header has {len(header)}")
    return dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _add_row(checklist: Checklist, line: int, cells: dict[str, str]) -> None:
    _check(cells)
    if cells["status"] == NOT_AVAILABLE:
        checklist.unmatched.append((line, cells["search_species"]))
    else:
        checklist.rows.append(_matched(line, cells))


def _check(cells: dict[str, str]) -> None:
    if cells["status"] not in STATUSES:
        expected = ", ".join(sorted(STATUSES))
        raise ValueError(f"status must be one of {expected}, got {shown(cells['status'])}")
    for column in NAMES:
        _check_name(column, cells[column])


def _matched(line: int, cells: dict[str, str]) -> ChecklistRow:
    for column in ("genus", "family", "order"):
        if cells[column] == NOT_AVAILABLE:
            raise ValueError(f"{column} of a matched name must be known, got {NOT_AVAILABLE}")
    name, accepted = cells["search_species"], cells["gbif_species"]
    if accepted == NOT_AVAILABLE:
        accepted = name
    return ChecklistRow(
        line=line,
        name=name,
        accepted=accepted,
        is_synonym=cells["status"] == "SYNONYM" and name != accepted,
        gbif_key=_key(cells["accepted_taxon_key"]),
        genus=cells["genus"],
        family=cells["family"],
        order=cells["order"],
    )


def _check_name(column: str, value: str) -> None:
    try:
        check_text(value, length=255)
    except ValueError as error:
        raise ValueError(f"{column} {error}, got {shown(value)}") from None


def _key(text: str) -> int | None:
    """Parse GBIF's key; -1 means that there is none."""
    if text == "-1":
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) < 2**63):
        raise ValueError(f"accepted_taxon_key must be a whole number, got {shown(text)}")
    return int(text)

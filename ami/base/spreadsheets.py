"""Text in CSV files that people open in a spreadsheet, which would take some texts for formulas.

A text that begins with =, +, -, @, a tab or a carriage return gets an apostrophe before it. So
does a text that consists of apostrophes before such a character, so that :func:`unprotected` gives
each text back as it was. Numbers are not texts: a longitude stays -73.5.
"""

import csv
import re
from collections.abc import Iterable
from io import StringIO
from typing import Any

FIRST = frozenset("'=+-@\t\r")
STARTS = re.compile(r"'*[=+\-@\t\r]")


def protected(text: str) -> str:
    """Return the text as a cell that no spreadsheet computes."""
    if text[:1] not in FIRST:  # nearly all texts, and quicker
        return text
    return f"'{text}" if STARTS.match(text) else text


def unprotected(cell: str) -> str:
    """Return the text of a cell that :func:`protected` made."""
    return cell[1:] if cell.startswith("'") and STARTS.match(cell) else cell


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as lines of CSV, with their texts protected."""
    lines = StringIO()
    csv.writer(lines).writerows(
        [protected(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return lines.getvalue()

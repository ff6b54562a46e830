"""CSV files that pages offer, streamed."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.http import StreamingHttpResponse

from ami.base.spreadsheets import csv_lines

LINES_AT_ONCE = 2_000


def csv_chunks(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield a line with the columns, and then those of the rows, 2,000 at a time."""
    yield csv_lines([columns])
    remaining = iter(rows)
    while some := list(islice(remaining, LINES_AT_ONCE)):
        yield csv_lines(some)


def csv_response(
    columns: Iterable[str], rows: Iterable[Iterable[Any]], *, name: str
) -> StreamingHttpResponse:
    """Return a CSV file of that name, which is streamed."""
    return StreamingHttpResponse(
        csv_chunks(columns, rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )

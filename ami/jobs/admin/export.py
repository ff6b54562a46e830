"""The changes of a Job as CSV."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import BigIntegerField, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.html import strip_tags

from ami.base.downloads import LINES_AT_ONCE, csv_response
from ami.jobs.admin.known import known_rows
from ami.jobs.admin.offers import offers_for
from ami.jobs.admin.pages import JobPagesMixin
from ami.jobs.models import Job
from ami.jobs.models.change import WARNINGS
from ami.main.models import Taxon
from ami.main.pictures import crop_url

COLUMNS = ("id", "created_at", "kind", "model", "object_id")
SIDES = ("before", "after")  # as the text that PostgreSQL makes of JSON
LINKED = ("detection_id", "occurrence_id")
ADDED = ("warnings", "name_before", "name_after", "detection", "occurrence", "crop")
OF_JOB = ("job", "run", "options")


class _Line(NamedTuple):
    """A change, with what leads to its names and its place."""

    columns: tuple[Any, ...]
    linked: dict[str, int | None]
    taxa: tuple[int | None, int | None]
    warnings: list[str] | None


def csv_rows(job: Job, *, options: str, site: str) -> Iterator[tuple[Any, ...]]:
    """Yield the journal of a Job, the oldest change first.

    `warnings` names the figures that warn of a created row. `site` begins the URLs of crops.
    """
    for lines in _chunks(job):
        for line in _told(lines, site):
            yield (*line, job.pk, job.name, options)


def _chunks(job: Job) -> Iterator[list[_Line]]:
    """Read by id, because a cursor would collect all rows before it returns the first."""
    rows, last = _rows(job), 0
    while lines := [_line(row) for row in rows.filter(pk__gt=last)[:LINES_AT_ONCE]]:
        yield lines
        last = lines[-1].columns[0]
        if len(lines) < LINES_AT_ONCE:
            return


def _rows(job: Job) -> QuerySet[Any, Any]:
    sides = [Cast(side, TextField()) for side in SIDES]
    linked = [_id(name) for name in LINKED]
    taxa = [_id("determination_id", "taxon_id", sides=[side]) for side in SIDES]
    rows = job.changes.order_by("pk")
    return rows.values_list(*COLUMNS, *sides, *linked, *taxa, WARNINGS)


def _id(*names: str, sides: Iterable[str] = ("after", "before")) -> Any:
    """The first of these values in the sides of a change."""
    found = [
        Cast(KeyTextTransform(name, side), BigIntegerField()) for side in sides for name in names
    ]
    return Coalesce(*found)


def _line(row: tuple[Any, ...]) -> _Line:
    *columns, detection, occurrence, before, after, warnings = row
    linked = dict(zip(LINKED, (detection, occurrence), strict=True))
    return _Line(tuple(columns), linked, (before, after), warnings)


def _told(lines: list[_Line], site: str) -> Iterator[tuple[Any, ...]]:
    """The lines with names and places, in one query per table."""
    known = known_rows(
        (label, pk, line.linked, None) for line in lines for label, pk in [_key(line)]
    )
    taxa = {pk for line in lines for pk in line.taxa if pk}
    names = dict(Taxon.objects.filter(pk__in=taxa).values_list("pk", "name"))
    for line in lines:
        label, pk = _key(line)
        place = known.place(apps.get_model(label), pk, line.linked)
        before, after = (names.get(taxon or 0, "") for taxon in line.taxa)
        crop = f"{site}{crop_url(place.detection)}" if place.detection else ""
        warnings = ", ".join(line.warnings or [])
        yield (*line.columns, warnings, before, after, *place, crop)


def _key(line: _Line) -> tuple[str, int]:
    return line.columns[COLUMNS.index("model")], line.columns[COLUMNS.index("object_id")]


class ExportMixin(JobPagesMixin):
    """The export of a Job's changes."""

    def changes_view(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        """Every change of a Job as CSV, streamed."""
        job = self._job(request, object_id)
        parameters = offers_for(job).parameters(job, request.user)
        options = "; ".join(f"{label}: {strip_tags(str(value))}" for label, value in parameters)
        site = request.build_absolute_uri("/").rstrip("/")
        rows = csv_rows(job, options=options, site=site)
        columns = (*COLUMNS, *SIDES, *ADDED, *OF_JOB)
        return csv_response(columns, rows, name=f"job-{job.pk}-changes.csv")

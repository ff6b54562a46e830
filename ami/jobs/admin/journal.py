"""What a Job's page shows of its journal."""

import csv
from collections.abc import Iterable, Iterator
from io import StringIO
from itertools import islice
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection
from django.db.models import Count, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, StreamingHttpResponse

from ami.base.links import list_url
from ami.jobs.admin.left import left_tables
from ami.jobs.admin.pages import JobPagesMixin
from ami.jobs.journal.revert import refusal, standing_revert
from ami.jobs.models import Job, JobChange
from ami.jobs.models.change import WARNINGS

TRANSITIONS = 10
ROWS_AT_ONCE = 2_000
COLUMNS = ("id", "created_at", "kind", "model", "object_id")
SIDES = ("before", "after")  # as the text that PostgreSQL makes of JSON

# Count the occurrences by their taxon before and after the run; the totals cover all groups. Taxa
# that do not exist share one name, because a dry run creates its new taxa in each batch.
TRANSITION = """
WITH pair AS (
    SELECT (before->>'determination_id')::bigint AS before_id,
           (after->>'determination_id')::bigint AS after_id, count(*) AS occurrences
    FROM jobs_jobchange
    WHERE job_id = %s AND kind = 'changed' AND model = 'main.occurrence'
      AND after ? 'determination_id'
    GROUP BY 1, 2
), transition AS (
    SELECT former.id AS taxon_before, present.id AS taxon_after,
           COALESCE(former.name, CASE WHEN before_id IS NOT NULL THEN %s END) AS name_before,
           COALESCE(present.name, CASE WHEN after_id IS NOT NULL THEN %s END) AS name_after,
           sum(occurrences)::bigint AS occurrences
    FROM pair
    LEFT JOIN main_taxon former ON former.id = before_id
    LEFT JOIN main_taxon present ON present.id = after_id
    GROUP BY 1, 2, 3, 4
)
SELECT taxon_before, name_before, taxon_after, name_after, occurrences,
       count(*) OVER () AS kinds, (sum(occurrences) OVER ())::bigint AS total
FROM transition ORDER BY occurrences DESC, name_before, name_after LIMIT %s
"""
GONE, NEW = "a deleted taxon", "a new taxon"


class Transition(NamedTuple):
    """How many occurrences went from one taxon to another; a name is None for no taxon."""

    taxon_before: int | None
    name_before: str | None
    taxon_after: int | None
    name_after: str | None
    occurrences: int
    kinds: int
    total: int


def journal_of(job: Job) -> dict[str, Any]:
    """What the page shows of the changes of a Job that has ended, in three queries."""
    counted = job.changes.order_by("kind", "model").values_list("kind", "model")
    transitions = transitions_of(job)
    counts = list(counted.annotate(rows=Count("pk")))
    return {
        "counts": [
            {
                "kind": JobChange.Kind(kind).label,
                "noun": apps.get_model(model)._meta.verbose_name_plural,
                "rows": rows,
                "url": list_url(JobChange, job__id__exact=job.pk, kind__exact=kind, table=model),
            }
            for kind, model, rows in counts
        ],
        "all_url": list_url(JobChange, job__id__exact=job.pk),
        "transitions": transitions,
        "more": _rest(transitions),
        "revert": standing_revert(job),
        "revertible": refusal(job) is None,
        "left": left_tables(
            job, {model: rows for kind, model, rows in counts if kind == JobChange.Kind.LEFT}
        ),
    }


def transitions_of(job: Job, most: int = TRANSITIONS) -> list[Transition]:
    """Return the most frequent changes of a determination, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(TRANSITION, [job.pk, GONE, NEW if job.dry_run else GONE, most])
        return [Transition(*row) for row in cursor.fetchall()]


def _rest(transitions: list[Transition]) -> dict[str, int] | None:
    """What the list of transitions leaves out."""
    if not transitions or transitions[0].kinds <= len(transitions):
        return None
    shown = sum(transition.occurrences for transition in transitions)
    first = transitions[0]
    return {"kinds": first.kinds - len(transitions), "occurrences": first.total - shown}


def csv_chunks(job: Job) -> Iterator[str]:
    """The journal of a Job as CSV: one line per change, the oldest first, 2,000 lines at a time.

    The last column names the figures that warn of a created row.
    """
    sides = [Cast(side, TextField()) for side in SIDES]
    rows = job.changes.order_by("pk").values_list(*COLUMNS, *sides, WARNINGS)
    lines = rows.iterator(chunk_size=ROWS_AT_ONCE)
    yield _csv([(*COLUMNS, *SIDES, "warnings")])
    while some := list(islice(lines, ROWS_AT_ONCE)):
        yield _csv([*change, ", ".join(warnings or [])] for *change, warnings in some)


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


class JournalMixin(JobPagesMixin):
    """The export of a Job's changes."""

    def changes_view(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        """Every change of a Job as CSV, streamed."""
        job = self._job(request, object_id)
        return StreamingHttpResponse(
            csv_chunks(job),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="job-{job.pk}-changes.csv"'},
        )

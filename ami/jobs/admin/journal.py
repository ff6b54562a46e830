"""What a Job's page shows of its journal."""

from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection
from django.db.models import Count

from ami.base.links import list_url
from ami.jobs.admin.crops import crops_of
from ami.jobs.admin.left import left_tables
from ami.jobs.journal.revert import refusal, standing_revert
from ami.jobs.models import Job, JobChange

TRANSITIONS = 10

# Count the occurrences by their taxon before and after the run; the totals cover all groups. Taxa
# that do not exist share one name, because a dry run creates its new taxa in each batch.
TRANSITION = """
WITH pair AS (
    SELECT taxon_before AS before_id, taxon_after AS after_id, count(*) AS occurrences
    FROM jobs_jobchange
    WHERE job_id = %s AND (taxon_before IS NOT NULL OR taxon_after IS NOT NULL)
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

    @property
    def key(self) -> str:
        """How the list of changes is filtered by it; empty if one of the taxa does not exist."""
        gone = [
            name is not None and pk is None
            for pk, name in (
                (self.taxon_before, self.name_before),
                (self.taxon_after, self.name_after),
            )
        ]
        return "" if any(gone) else f"{self.taxon_before or 0}-{self.taxon_after or 0}"


def journal_of(job: Job) -> dict[str, Any]:
    """What the page shows of the changes of a Job that has ended, in a fixed number of queries."""
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
        "rows": _rows(job, transitions),
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


def _rows(job: Job, transitions: list[Transition]) -> list[dict[str, Any]]:
    """The transitions, each with the URL of its changes and its first crops."""
    taxa = {one: (one.taxon_before, one.taxon_after) for one in transitions if one.key}
    crops = crops_of(job, list(taxa.values()))
    return [
        {
            "transition": one,
            "url": one.key and list_url(JobChange, job__id__exact=job.pk, transition=one.key),
            "crops": crops[taxa[one]] if one in taxa else "",
        }
        for one in transitions
    ]


def _rest(transitions: list[Transition]) -> dict[str, int] | None:
    """What the list of transitions leaves out."""
    if not transitions or transitions[0].kinds <= len(transitions):
        return None
    shown = sum(transition.occurrences for transition in transitions)
    first = transitions[0]
    return {"kinds": first.kinds - len(transitions), "occurrences": first.total - shown}

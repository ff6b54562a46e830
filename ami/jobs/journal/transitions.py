"""From which taxon to which the occurrences of a run went, by the journal."""

from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection

if TYPE_CHECKING:
    from ami.jobs.models import Job

TRANSITIONS = 10
LARGE = 10_000  # occurrences
KEPT_JOBS = 16  # the most Jobs whose counts a process keeps
_kept: dict[tuple[Any, ...], Any] = {}

# The number of occurrences by their taxon before and after the run.
COUNTED = """
    SELECT taxon_before AS before_id, taxon_after AS after_id, count(*) AS occurrences
    FROM jobs_jobchange
    WHERE job_id = %s AND (taxon_before IS NOT NULL OR taxon_after IS NOT NULL)
    GROUP BY 1, 2
"""
ARRAYS = """
SELECT array_agg(before_id), array_agg(after_id), array_agg(occurrences) FROM ({pair}) pair
"""
GIVEN = """
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])
    AS pair (before_id, after_id, occurrences)
"""

# The totals cover all groups. Taxa that do not exist share one name, because a dry run creates its
# new taxa in each batch.
TRANSITION = """
WITH pair AS ({pair}), transition AS (
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


def transitions_of(job: "Job", *, most: int = TRANSITIONS) -> list[Transition]:
    """Return the most frequent changes of a determination by a Job.

    The journal of an ended Job does not change until it is deleted, so each process keeps counts
    that took long.
    """
    missing = NEW if job.dry_run else GONE
    key = (job.pk, job.finished_at, job.pruned_at)
    if pairs := _kept.get(key):
        return _named(GIVEN, *pairs, missing=missing, most=most)
    found = _named(COUNTED, job.pk, missing=missing, most=most)
    if job.finished_at and found and found[0].total > LARGE:
        if len(_kept) >= KEPT_JOBS:
            _kept.clear()
        _kept[key] = _pairs(job.pk)
    return found


def transitions_in(job_id: int, *, most: int) -> list[Transition]:
    """Return the most frequent changes of a determination in a journal without a Job."""
    return _named(COUNTED, job_id, missing=GONE, most=most)


def _pairs(job_id: int) -> Any:
    """Return the ids of the taxa before and after, and the numbers of occurrences."""
    with connection.cursor() as cursor:
        cursor.execute(ARRAYS.format(pair=COUNTED), [job_id])
        return cursor.fetchone()


def _named(pair: str, *of: Any, missing: str, most: int) -> list[Transition]:
    with connection.cursor() as cursor:
        cursor.execute(TRANSITION.format(pair=pair), [*of, GONE, missing, most])
        return [Transition(*row) for row in cursor.fetchall()]

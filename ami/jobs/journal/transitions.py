"""From which taxon to which the occurrences of a run went, by the journal."""

from typing import NamedTuple

from django.db import connection

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


def transitions_of(
    job_id: int, *, is_dry_run: bool = False, most: int = TRANSITIONS
) -> list[Transition]:
    """Return the most frequent changes of a determination by a Job, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(TRANSITION, [job_id, GONE, NEW if is_dry_run else GONE, most])
        return [Transition(*row) for row in cursor.fetchall()]

"""The names that identified occurrences had and got by classifications alone, by the journal.

An identification decides the name of its occurrence, so the determination of an identified
occurrence does not show what a run did. The rule is therefore applied to the classifications as
they were before the Jobs, and as the Jobs left them, without the identifications.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from django.db import connection, transaction
from django.db.models import Min, Q
from numpy.typing import NDArray

from ami.jobs.models import Job, JobChange
from ami.main.models import Identification
from ami.main.models.identification import INDEPENDENT_SQL
from ami.ml.post_processing.scopes import stored_scope

PORTION = 10_000  # rows read from the server at a time
CURSOR = "effect_rows"

# What the Jobs changed (`own`), and what is undone to see the state before them (`undone`): their
# own changes unless they were rolled back, and those of later Jobs.
CHANGES = """
SELECT c.id, c.model, c.object_id, c.kind, c.before, c.after,
       c.job_id = ANY(%(own)s) AS own, c.job_id = ANY(%(undone)s) AS undone
FROM jobs_jobchange c
WHERE c.kind <> 'left' AND (
    c.job_id = ANY(%(own)s) OR (c.job_id = ANY(%(undone)s) AND c.id >= %(first)s)
)"""

# The state of a row before the Jobs (`former`) and what the Jobs made of it (`made`), for some of
# the changes `c`. If several changes contain a column, the earliest `before` wins, and the latest
# `after`.
NET = """
(array_agg(c.kind ORDER BY c.id) FILTER (WHERE c.undone))[1] = 'created' AS is_new,
(array_agg(c.kind ORDER BY c.id DESC) FILTER (WHERE c.own))[1] AS last_kind,
bool_or(c.own AND c.kind = 'created') AS is_made,
jobs_jsonb_merge(c.before ORDER BY c.id DESC) FILTER (WHERE c.undone) AS former,
jobs_jsonb_merge(c.after ORDER BY c.id) FILTER (WHERE c.own) AS made"""

# Only runs that merge individuals move detections and identifications, so this is often empty.
MOVES = f"""
CREATE TEMPORARY TABLE effect_move ON COMMIT DROP AS
SELECT model, object_id, former, made
FROM (SELECT c.model, c.object_id, {NET} FROM ({CHANGES}) c
      WHERE c.model IN ('main.detection', 'main.identification')
        AND (c.before ? 'occurrence_id' OR c.after ? 'occurrence_id')
      GROUP BY c.model, c.object_id) net;
ANALYZE effect_move
"""  # noqa: S608 -- constants

HOLDERS = """
COALESCE((m.former->>'occurrence_id')::bigint, {row}.occurrence_id) AS former_id,
CASE WHEN m.made ? 'occurrence_id' THEN (m.made->>'occurrence_id')::bigint
     ELSE COALESCE((m.former->>'occurrence_id')::bigint, {row}.occurrence_id) END AS later_id"""

TABLES = [
    f"effect_{name}"
    for name in ("scope", "move", "unit", "detection", "row", "change", "former", "later")
]
SCOPE = "CREATE TEMPORARY TABLE effect_scope (occurrence_id bigint) ON COMMIT DROP"
FILL = "INSERT INTO effect_scope SELECT DISTINCT occurrence_id FROM ({rows}) rows"

# One row per occurrence that a person has identified, in the projects of the Jobs: its latest
# answer, and its latest independent one. `former_id` is the occurrence before the Jobs, `later_id`
# the one after them.
UNITS = f"""
CREATE TEMPORARY TABLE effect_unit ON COMMIT DROP AS
WITH said AS MATERIALIZED (
    SELECT i.id, i.created_at, i.taxon_id AS truth_id, o.event_id, {HOLDERS.format(row="i")},
           {INDEPENDENT_SQL} AS independent
    FROM main_identification i JOIN main_occurrence o ON o.id = i.occurrence_id
    LEFT JOIN effect_move m ON m.model = 'main.identification' AND m.object_id = i.id
    WHERE NOT i.withdrawn AND i.taxon_id IS NOT NULL AND i.occurrence_id IN (TABLE effect_scope)
      AND (%(is_for_all)s OR o.project_id = ANY(%(projects)s))
)
SELECT DISTINCT ON (former_id) former_id, later_id, event_id, truth_id, own.independent_id
FROM said LEFT JOIN (
    SELECT DISTINCT ON (former_id) former_id, truth_id AS independent_id FROM said
    WHERE independent ORDER BY former_id, created_at DESC, id DESC
) own USING (former_id)
ORDER BY former_id, created_at DESC, id DESC;
ANALYZE effect_unit
"""  # noqa: S608 -- constants

DETECTIONS = f"""
CREATE TEMPORARY TABLE effect_detection ON COMMIT DROP AS
SELECT d.id, {HOLDERS.format(row="d")}
FROM main_detection d
LEFT JOIN effect_move m ON m.model = 'main.detection' AND m.object_id = d.id
WHERE d.occurrence_id IN (SELECT former_id FROM effect_unit UNION SELECT later_id FROM effect_unit)
   OR d.id IN (SELECT object_id FROM effect_move WHERE model = 'main.detection');
CREATE INDEX ON effect_detection (id);
ANALYZE effect_detection
"""  # noqa: S608 -- constants

# All classifications of these detections, with those that no longer exist, or never existed
# because their run was rolled back.
ROWS = f"""
CREATE TEMPORARY TABLE effect_row ON COMMIT DROP AS
SELECT c.id, c.detection_id
FROM effect_detection d JOIN main_classification c ON c.detection_id = d.id
UNION
SELECT c.object_id, d.id
FROM ({CHANGES}) c JOIN effect_detection d
     ON d.id = (COALESCE(c.after, c.before)->>'detection_id')::bigint
WHERE c.model = 'main.classification' AND c.kind IN ('created', 'deleted');
CREATE INDEX ON effect_row (id);
ANALYZE effect_row
"""  # noqa: S608 -- constants


def _at(side: str, column: str, kind: str) -> str:
    """SQL for the value of a column at one side of the Jobs."""
    former = (
        f"CASE WHEN n.former ? '{column}' THEN (n.former->>'{column}')::{kind} ELSE c.{column} END"
    )
    if side == "former":
        return former
    return f"CASE WHEN n.made ? '{column}' THEN (n.made->>'{column}')::{kind} ELSE {former} END"


def _columns(side: str) -> str:
    types = {
        "taxon_id": "bigint",
        "score": "double precision",
        "terminal": "boolean",
        "timestamp": "timestamp",
    }
    return ", ".join(f"{_at(side, column, kind)} AS {column}" for column, kind in types.items())


EXISTED = "COALESCE(NOT n.is_new, c.id IS NOT NULL)"
EXISTS = {
    "former": EXISTED,
    "later": f"CASE WHEN n.last_kind = 'deleted' THEN false ELSE n.is_made OR {EXISTED} END",
}

# The best classification of each occurrence at one side of the Jobs, by the determination rule.
# A taxon that a rolled back run created does not exist; runs create none but those that stand for
# no species.
BEST = """
CREATE TEMPORARY TABLE effect_{side} ON COMMIT DROP AS
SELECT DISTINCT ON (d.{side}_id) d.{side}_id AS occurrence_id, c.taxon_id, c.score,
       COALESCE(t.identifiable, false) AS identifiable
FROM (
    SELECT r.id, r.detection_id, {columns}
    FROM effect_row r LEFT JOIN main_classification c ON c.id = r.id
    LEFT JOIN effect_change n ON n.object_id = r.id
    WHERE {exists}
) c
JOIN effect_detection d ON d.id = c.detection_id
LEFT JOIN main_taxon t ON t.id = c.taxon_id
WHERE c.taxon_id IS NOT NULL AND d.{side}_id IS NOT NULL
ORDER BY d.{side}_id, c.terminal DESC, COALESCE(t.identifiable, false) DESC,
         c.score DESC NULLS LAST, c.timestamp DESC, c.id DESC
"""

NET_CHANGES = f"""
CREATE TEMPORARY TABLE effect_change ON COMMIT DROP AS
SELECT c.object_id, {NET} FROM ({CHANGES}) c
WHERE c.model = 'main.classification' AND c.object_id IN (SELECT id FROM effect_row)
GROUP BY c.object_id;
ANALYZE effect_change
"""  # noqa: S608 -- constants

RESULT = """
SELECT u.former_id, COALESCE(u.event_id, 0), u.truth_id, COALESCE(u.independent_id, 0),
       COALESCE(CASE WHEN f.identifiable THEN f.taxon_id END, 0), f.score,
       COALESCE(CASE WHEN l.identifiable THEN l.taxon_id END, 0)
FROM effect_unit u
LEFT JOIN effect_former f ON f.occurrence_id = u.former_id
LEFT JOIN effect_later l ON l.occurrence_id = u.later_id
ORDER BY u.former_id
"""

# What Jobs of other types changed.
TOUCHED = """
SELECT d.occurrence_id FROM main_detection d WHERE d.id IN (
    SELECT c.object_id FROM jobs_jobchange c
    WHERE c.job_id = ANY(%(own)s) AND c.model = 'main.detection' AND c.kind <> 'left'
    UNION ALL
    SELECT k.detection_id FROM jobs_jobchange c JOIN main_classification k ON k.id = c.object_id
    WHERE c.job_id = ANY(%(own)s) AND c.model = 'main.classification' AND c.kind <> 'left'
)
UNION
SELECT c.object_id FROM jobs_jobchange c
WHERE c.job_id = ANY(%(own)s) AND c.model = 'main.occurrence' AND c.kind <> 'left'
"""


class Names(NamedTuple):
    """The names of n identified occurrences, in the order of their ids: arrays of n entries.

    All but `score` are ids; 0 stands for none. `truth` is what people say, and `independent` what
    they say independently. `before` and `after` are the names by
    classifications alone, 0 if there is none or it stands for no species. `score` is that of
    `before`, NaN if it has none.
    """

    occurrences: NDArray[np.int64]
    nights: NDArray[np.int64]
    truth: NDArray[np.int64]
    independent: NDArray[np.int64]
    before: NDArray[np.int64]
    score: NDArray[np.float64]
    after: NDArray[np.int64]


def names_of(jobs: Sequence[Job]) -> Names:
    """Read the names before and after these Jobs, which are in the order in which they ran.

    The state after them is the state before them with what they alone have changed. The number of
    queries does not grow with the rows.
    """
    with _tables(jobs), connection.cursor() as cursor:
        cursor.execute(f"DECLARE {CURSOR} CURSOR FOR {RESULT}")
        portions = [_arrays(rows) for rows in _portions(cursor)]
        cursor.execute(f"CLOSE {CURSOR}")
    return Names(*(np.concatenate(column) for column in zip(*portions, strict=True)))


@contextmanager
def _tables(jobs: Sequence[Job]) -> Iterator[None]:
    own = [job.pk for job in jobs]
    first = JobChange.objects.filter(job__in=own).aggregate(first=Min("pk"))["first"]
    undone = [job.pk for job in jobs if not job.dry_run] + (_later(jobs) if first else [])
    projects = [job.project_id for job in jobs]
    values: dict[str, Any] = {"own": own, "undone": undone, "first": first or 0}
    values |= {"projects": projects, "is_for_all": None in projects}
    with transaction.atomic(), connection.cursor() as cursor:
        _scope(jobs, cursor)
        for statement in (MOVES, UNITS, DETECTIONS, ROWS, NET_CHANGES):
            cursor.execute(statement, values)
        for side, exists in EXISTS.items():
            cursor.execute(BEST.format(side=side, columns=_columns(side), exists=exists))
        yield
        cursor.execute(f"DROP TABLE {', '.join(TABLES)}")


def _later(jobs: Sequence[Job]) -> list[int]:
    """The Jobs that may have changed rows after the first of these did."""
    started = min(job.started_at or job.created_at for job in jobs)
    ended = Q(finished_at__isnull=True) | Q(finished_at__gte=started)
    others = Job.objects.filter(ended, dry_run=False).exclude(pk__in=[job.pk for job in jobs])
    return list(others.values_list("pk", flat=True))


def _scope(jobs: Sequence[Job], cursor: Any) -> None:
    """Make the table of the occurrences that a person identified and the Jobs could change."""
    cursor.execute(SCOPE)
    for job in jobs:
        if (found := stored_scope(job.params)) is None:
            cursor.execute(FILL.format(rows=TOUCHED), {"own": [job.pk]})
            continue
        scope, ids = found
        said = Identification.objects.filter(withdrawn=False, taxon__isnull=False)
        rows = scope.detections(ids).filter(occurrence__in=said.values("occurrence"))
        sql, params = rows.order_by().values("occurrence_id").query.sql_with_params()
        cursor.execute(FILL.format(rows=sql), params)


def _portions(cursor: Any) -> Iterator[list[tuple[Any, ...]]]:
    while True:
        cursor.execute(f"FETCH {PORTION} FROM {CURSOR}")
        rows = cursor.fetchall()
        yield rows
        if len(rows) < PORTION:
            return


def _arrays(rows: list[tuple[Any, ...]]) -> list[NDArray[Any]]:
    columns = list(zip(*rows, strict=True)) or [()] * len(Names._fields)
    return [
        np.array(column, dtype=float if name == "score" else np.int64)
        for name, column in zip(Names._fields, columns, strict=True)
    ]

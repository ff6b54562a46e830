"""The determination rule, which decides the taxon and score of an occurrence.

1. The latest identification that is not withdrawn and has a taxon is used, with score 1.
2. Otherwise, the best classification with a taxon over all its detections is used: terminal
   before intermediate, identifiable before not identifiable, then score, newest, highest id.
3. Otherwise, taxon and score are cleared.
"""

from collections.abc import Iterable
from itertools import starmap
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import BooleanField, Func

from ami.base.ids import id_array

# Rows are locked in the order of their ids, so that two callers cannot deadlock.
# NO KEY: detections and identifications that refer to the rows can still be added.
LOCK = """
SELECT id FROM main_occurrence WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""

# The identifications and classifications of the rule, the best first: `of` chooses the occurrences.
PERSON = """
        SELECT {columns}taxon_id FROM main_identification
        WHERE occurrence_id {of} AND NOT withdrawn AND taxon_id IS NOT NULL
        ORDER BY {by}created_at DESC, id DESC"""
MACHINE = """
        SELECT {columns}c.taxon_id, c.score
        FROM main_detection d
        JOIN main_classification c ON c.detection_id = d.id
        JOIN main_taxon t ON t.id = c.taxon_id
        WHERE d.occurrence_id {of}
        ORDER BY {by}c.terminal DESC, t.identifiable DESC,
                 c.score DESC NULLS LAST, c.timestamp DESC, c.id DESC"""
RESULT = """
    CROSS JOIN LATERAL (
        SELECT COALESCE(person.taxon_id, machine.taxon_id) AS taxon_id,
               CASE WHEN person.taxon_id IS NULL THEN machine.score ELSE 1.0 END AS score
    ) rule
"""
OF_ONE = {"columns": "", "of": "= o.id", "by": ""}
OF_EACH = {
    "columns": "DISTINCT ON (occurrence_id) occurrence_id, ",
    "of": "IS NOT NULL",
    "by": "occurrence_id, ",
}

# The rule for an occurrence `o`. The lateral joins look up the rows of each occurrence with
# indexes, however large the tables are; plain joins could read all of main_classification.
RULE = f"""
    LEFT JOIN LATERAL ({PERSON.format(**OF_ONE)} LIMIT 1
    ) person ON true
    LEFT JOIN LATERAL ({MACHINE.format(**OF_ONE)} LIMIT 1
    ) machine ON true{RESULT}"""

# All occurrences that differ from the rule, with their fault. For all rows, this costs a third of
# one look-up per occurrence.
FAULTS = f"""
SELECT CASE WHEN o.determination_id IS NOT DISTINCT FROM rule.taxon_id THEN 'score'
            WHEN o.determination_id IS NULL THEN 'missing' ELSE 'taxon' END AS fault, o.id
FROM main_occurrence o
    LEFT JOIN ({PERSON.format(**OF_EACH)}
    ) person ON person.occurrence_id = o.id
    LEFT JOIN ({MACHINE.format(**OF_EACH)}
    ) machine ON machine.occurrence_id = o.id{RESULT}
WHERE (o.determination_id, o.determination_score) IS DISTINCT FROM (rule.taxon_id, rule.score)
"""  # noqa: S608 -- constants

# A digest of all rows that the rule reads for a row `n`, by its table. The functions are those of
# PostgreSQL's hash indexes, each with the previous result as its seed.
CLASSIFICATIONS_READ = """COALESCE((
    SELECT bit_xor(hashint8extended(c.id, timestamp_hash_extended(c.timestamp AT TIME ZONE 'UTC',
        COALESCE(hashfloat8extended(c.score, COALESCE(c.taxon_id, 0) * 2 + c.terminal::int),
                 COALESCE(c.taxon_id, 0) * 2 + c.terminal::int))))
    FROM main_classification c WHERE c.detection_id = {detection}.id
), 0)"""
IDENTIFICATION_READ = """hashint8extended({row}.id,
    timestamp_hash_extended({row}.created_at AT TIME ZONE 'UTC',
        COALESCE({row}.taxon_id, 0) * 2 + {row}.withdrawn::int))"""
INPUTS = {
    "main.occurrence": f"""hashint8extended(
    COALESCE((
        SELECT bit_xor(hashint8extended(d.id, {CLASSIFICATIONS_READ.format(detection="d")}))
        FROM main_detection d WHERE d.occurrence_id = n.id
    ), 0),
    COALESCE((
        SELECT bit_xor({IDENTIFICATION_READ.format(row="i")})
        FROM main_identification i WHERE i.occurrence_id = n.id
    ), 0)
)""",  # noqa: S608 -- constants
    "main.detection": CLASSIFICATIONS_READ.format(detection="n"),
    "main.identification": IDENTIFICATION_READ.format(row="n"),
}

# Only rows whose result differs are written. The ids are repeated so that the rows to write are
# also found by the primary key.
UPDATE = f"""
WITH decided AS (
    SELECT o.id, o.determination_id AS taxon_before, o.determination_score AS score_before,
           rule.taxon_id AS taxon_after, rule.score AS score_after
    FROM main_occurrence o {RULE}
    WHERE o.id = ANY(%(ids)s)
)
UPDATE main_occurrence o
SET determination_id = taxon_after, determination_score = score_after, updated_at = now()
FROM decided
WHERE o.id = decided.id AND o.id = ANY(%(ids)s)
  AND (taxon_before, score_before) IS DISTINCT FROM (taxon_after, score_after)
RETURNING o.id, taxon_before, taxon_after, score_before, score_after
"""  # noqa: S608 -- constants


class DeterminationChange(NamedTuple):
    """A change that :func:`update_determinations` made to one occurrence."""

    occurrence_id: int
    taxon_before: int | None
    taxon_after: int | None
    score_before: float | None
    score_after: float | None

    @property
    def taxon_changed(self) -> bool:
        return self.taxon_before != self.taxon_after


class _Compared(Func):
    """Whether a condition on an occurrence `o` and its result of the `rule` is true."""

    template = f"""EXISTS (
        SELECT FROM (VALUES (%(expressions)s)) o (id, determination_id, determination_score) {RULE}
        WHERE %(condition)s
    )"""
    output_field = BooleanField()

    def __init__(self, condition: str) -> None:
        super().__init__("pk", "determination", "determination_score", condition=condition)


class _Decides(Func):
    """Whether the rule gives the occurrence a taxon; unlike the rule, this ranks nothing."""

    # The lateral join makes PostgreSQL look up the rows of each occurrence, as in RULE.
    template = """EXISTS (
        SELECT FROM (VALUES (%(expressions)s)) o (id) CROSS JOIN LATERAL (
            SELECT FROM main_detection d JOIN main_classification c ON c.detection_id = d.id
            WHERE d.occurrence_id = o.id AND c.taxon_id IS NOT NULL
            UNION ALL
            SELECT FROM main_identification
            WHERE occurrence_id = o.id AND NOT withdrawn AND taxon_id IS NOT NULL
            LIMIT 1
        ) found
    )"""
    output_field = BooleanField()


def taxon_is_known() -> Func:
    """Return a filter for occurrences for which the rule gives a taxon."""
    return _Decides("pk")


def taxon_is_stale() -> Func:
    """Return a filter for occurrences with another taxon than the rule gives."""
    return _Compared("o.determination_id IS DISTINCT FROM rule.taxon_id")


def score_is_stale() -> Func:
    """Return a filter for occurrences with the taxon that the rule gives, but another score."""
    return _Compared(
        "o.determination_id IS NOT DISTINCT FROM rule.taxon_id "
        "AND o.determination_score IS DISTINCT FROM rule.score"
    )


def update_determinations(occurrence_ids: Iterable[int]) -> list[DeterminationChange]:
    """Apply the rule to the occurrences and return the changes, ordered by id.

    Executes two queries, whatever the number of ids. Ids without an occurrence are ignored.
    Occurrences that are already correct are neither written nor returned.
    """
    ids = id_array(occurrence_ids)
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(LOCK, [ids])
        # A separate statement sees what other transactions committed while the lock waited.
        cursor.execute(UPDATE, {"ids": ids})
        return sorted(starmap(DeterminationChange, cursor.fetchall()))

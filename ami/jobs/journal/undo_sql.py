"""The statements of :mod:`ami.jobs.journal.undo`, for any journaled table."""

from collections.abc import Iterator

from django.apps import apps
from django.db import models

from ami.jobs.journal.references import LOOSE, keys_of, keys_to
from ami.jobs.journal.rivals_sql import former, taken
from ami.jobs.journal.triggers import DECIDED, JOURNALED, Column
from ami.main.determinations import INPUTS, RULE

# Group whole batches, newest first, into portions. If something else changed a row between two
# batches that changed it, a portion ends between the two, so that each is judged separately.
PLAN = """
WITH change AS MATERIALIZED (
    SELECT id, batch, model, object_id FROM jobs_jobchange
    WHERE job_id = %(job)s AND kind <> 'left'
), batches AS (
    SELECT batch, min(id) AS first, max(id) AS last, count(*) AS size FROM change GROUP BY batch
), step AS (
    SELECT c.batch, c.kind, c.before, lag(c.kind) OVER chain AS former_kind,
           jobs_jsonb_merge(c.after) OVER (chain ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
               AS former_after
    FROM (
        SELECT model, object_id FROM change
        GROUP BY model, object_id HAVING min(batch) <> max(batch)
    ) several
    JOIN jobs_jobchange c USING (model, object_id)
    WHERE c.job_id = %(job)s AND c.kind <> 'left'
    WINDOW chain AS (PARTITION BY model, object_id ORDER BY c.id)
), cut AS (
    SELECT DISTINCT batch FROM step
    WHERE (former_kind = 'deleted') <> (kind = 'created')
       OR EXISTS (
           SELECT FROM jsonb_each_text(former_after) a JOIN jsonb_each_text(before) b USING (key)
           WHERE a.value IS DISTINCT FROM b.value
       )
), placed AS (
    SELECT batches.*, div(sum(size) OVER newest - size, %(size)s) AS portion,
           count(cut.batch) OVER newest - count(cut.batch) OVER (newest ROWS CURRENT ROW) AS cuts
    FROM batches LEFT JOIN cut USING (batch)
    WINDOW newest AS (ORDER BY last DESC)
)
SELECT array_agg(batch), min(first), max(last), sum(size)::bigint
FROM placed GROUP BY cuts, portion ORDER BY cuts, portion
"""

# The net effect on each row: whether it `existed` before these batches and `stands` after them. A
# determination is derived: it is restored if possible, and otherwise follows from the rule.
# `inputs` is the hash of what it was based on; if several batches decided it, that is unknown
# (`shaken`).
COLLECT = """
CREATE TEMPORARY TABLE undo ON COMMIT DROP AS
WITH net AS (
    SELECT model, object_id,
           (array_agg(kind ORDER BY id))[1] <> 'created' AS existed,
           (array_agg(kind ORDER BY id DESC))[1] <> 'deleted' AS stands,
           jobs_jsonb_merge(before ORDER BY id DESC) AS before,
           jobs_jsonb_merge(after ORDER BY id) AS after,
           max(created_at) AS written_at,
           max(id) AS last,
           (array_agg(inputs ORDER BY id DESC) FILTER (WHERE inputs IS NOT NULL))[1] AS inputs,
           COALESCE(min(batch) FILTER (WHERE inputs IS NOT NULL)
                    <> max(batch) FILTER (WHERE inputs IS NOT NULL), false) AS shaken,
           model = 'main.occurrence' AND bool_and(
               kind = 'changed'
               AND before - '{determination_id,determination_score}'::text[] = '{}'
           ) AS derived
    FROM jobs_jobchange
    WHERE job_id = %(former)s AND id BETWEEN %(first)s AND %(last)s
      AND batch = ANY(%(batches)s) AND kind <> 'left'
    GROUP BY model, object_id
), former AS (
    SELECT model, object_id, after->>'reason' AS reason,
           (after->>'job')::bigint AS by_job, (after->>'user')::bigint AS by_user
    FROM jobs_jobchange WHERE job_id = %(job)s AND kind = 'left'
)
SELECT net.*, false AS renamed, former.reason, former.by_job, former.by_user,
       former.reason IS NOT NULL AS left_before
FROM net LEFT JOIN former USING (model, object_id)
WHERE existed OR stands;
CREATE INDEX ON undo (object_id);
ANALYZE undo
"""

# An identification that the run itself created, in the name of the person who has given it.
OWN = """EXISTS (
    SELECT FROM undo own WHERE own.model = 'main.identification' AND own.object_id = i.id
    AND NOT own.existed AND own.stands
)"""
# An occurrence that a person has identified since keeps its detections: none joins or leaves it.
IDENTIFIED = f"""
UPDATE undo SET reason = 'identified since', by_user = (
    SELECT i.user_id FROM main_identification i
    WHERE i.occurrence_id IN ((before->>'occurrence_id')::bigint, (after->>'occurrence_id')::bigint)
      AND NOT i.withdrawn AND i.created_at > written_at AND NOT {OWN}
    ORDER BY i.created_at DESC, i.id DESC LIMIT 1
)
WHERE model = 'main.detection' AND reason IS NULL AND after ? 'occurrence_id' AND EXISTS (
    SELECT FROM main_identification i
    WHERE i.occurrence_id IN ((before->>'occurrence_id')::bigint, (after->>'occurrence_id')::bigint)
      AND NOT i.withdrawn AND i.created_at > written_at AND NOT {OWN}
)
"""

# An occurrence has one detection per capture: if another detection of the capture has joined it
# since, the former one must not return. A detection that left and returned has not joined.
JOINED = """
UPDATE undo SET reason = 'its place was taken since', by_job = taken.job_id
FROM (
    SELECT u.object_id, max(moved.job_id) AS job_id
    FROM undo u
    JOIN main_detection t ON t.id = u.object_id
    JOIN main_detection d ON d.occurrence_id = (u.before->>'occurrence_id')::bigint
                         AND d.source_image_id = t.source_image_id AND d.id <> t.id
    LEFT JOIN LATERAL (
        SELECT (array_agg(c.job_id ORDER BY c.id DESC))[1] AS job_id
        FROM jobs_jobchange c JOIN jobs_job j ON j.id = c.job_id
        WHERE c.object_id = d.id AND c.model = 'main.detection' AND c.id > u.last
          AND c.kind <> 'left' AND NOT j.dry_run AND c.after ? 'occurrence_id'
          AND c.job_id <> ALL(ARRAY[%(former)s, %(job)s]::bigint[])
        HAVING (array_agg(c.before->>'occurrence_id' ORDER BY c.id))[1]
               IS DISTINCT FROM u.before->>'occurrence_id'
    ) moved ON true
    WHERE u.model = 'main.detection' AND u.reason IS NULL
      AND (d.created_at > u.written_at OR moved.job_id IS NOT NULL)
    GROUP BY u.object_id
) taken
WHERE undo.model = 'main.detection' AND undo.object_id = taken.object_id
"""

# Occurrences whose determination must follow from the rule: one of their rows is left alone; what
# the former determination was based on has changed since; or the run did not change the
# determination, and the rule had decided it.
UNSETTLED = f"""
WITH unit AS (
    SELECT m.unit AS id, bool_or(u.reason IS NOT NULL OR u.shaken) AS is_open,
           bool_or(m.model = 'main.occurrence'
                   AND u.before ?| '{{determination_id,determination_score}}') AS is_told
    FROM undo_unit m JOIN undo u USING (model, object_id)
    WHERE m.kind = 'occurrence' GROUP BY m.unit
)
SELECT id FROM unit WHERE is_open
UNION ALL
SELECT o.id FROM unit JOIN main_occurrence o USING (id) {RULE}
WHERE NOT is_open AND NOT is_told
  AND (o.determination_id, o.determination_score)
      IS NOT DISTINCT FROM (rule.taxon_id, rule.score)
"""

# Mark occurrences for which the rule decided differently than before the run.
RENAME = """
UPDATE undo u SET renamed = true FROM main_occurrence o
WHERE u.model = 'main.occurrence' AND u.object_id = o.id AND u.existed AND u.reason IS NULL AND (
    (u.before ? 'determination_id'
     AND o.determination_id IS DISTINCT FROM (u.before->>'determination_id')::bigint)
    OR (u.before ? 'determination_score'
        AND o.determination_score IS DISTINCT FROM (u.before->>'determination_score')::float8)
)
"""

# Record the rows left alone in the journal of the revert, with the reason and the cause.
LEAVE = """
INSERT INTO jobs_jobchange (job_id, batch, created_at, kind, model, object_id, after)
SELECT %s::bigint, pg_current_xact_id()::text::bigint, now(), 'left', model, object_id,
       jsonb_strip_nulls(jsonb_build_object('reason', reason, 'job', by_job, 'user', by_user))
FROM undo WHERE reason IS NOT NULL AND NOT left_before
ORDER BY model, object_id
"""

# Count the rows by result, with the first 20 ids.
FATES = """
SELECT CASE WHEN reason IS NOT NULL THEN 'left alone' WHEN NOT existed THEN 'removed'
            WHEN renamed THEN 'renamed' WHEN stands THEN 'put back' ELSE 'restored' END AS fate,
       model, reason, by_job, by_user, count(*), (array_agg(object_id ORDER BY object_id))[1:20]
FROM undo WHERE NOT left_before GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""


def lock(model: type[models.Model]) -> str:
    """SQL that locks the rows in the order of their ids, as all writers do, to avoid deadlocks."""
    return f"""
SELECT FROM {model._meta.db_table}
WHERE id IN (SELECT object_id FROM undo WHERE model = '{model._meta.label_lower}')
ORDER BY id FOR UPDATE
"""


def judge(model: type[models.Model], columns: list[Column]) -> str:
    """SQL that sets the reason why a row cannot be undone; NULL if it can."""
    derived = DECIDED["main.occurrence"] if model._meta.label_lower == "main.occurrence" else ()
    changed = _any(
        f"u.after ? '{c.name}' AND t.{c.name} IS DISTINCT FROM (u.after->>'{c.name}')::{c.type}"
        # A changed determination does not prevent undoing the other columns of its row.
        + (" AND u.derived" if c.name in derived else "")
        for c in columns
    )
    return f"""
UPDATE undo SET reason = judged.reason FROM (
    SELECT u.object_id, CASE
        WHEN u.stands AND t.id IS NULL THEN 'deleted since'
        WHEN u.stands AND ({changed}) THEN 'changed since'
        WHEN NOT u.stands AND t.id IS NOT NULL THEN 'made anew since'
        WHEN u.existed AND ({_any(_dangling(model))}) THEN 'refers to a row that is gone'
        WHEN u.existed AND ({_any(taken(model, columns))}) THEN 'its place was taken since'
        WHEN NOT u.existed AND ({_any(_uses(model))}) THEN 'in use since'
    END AS reason
    FROM undo u LEFT JOIN {model._meta.db_table} t ON t.id = u.object_id
    WHERE u.model = '{model._meta.label_lower}' AND u.reason IS NULL
) judged
WHERE undo.model = '{model._meta.label_lower}' AND undo.object_id = judged.object_id
  AND judged.reason IS NOT NULL
"""


def strand(model: type[models.Model], columns: list[Column]) -> str:
    """SQL that leaves alone what would need a row, or a unique value, of a row left alone."""
    return f"""
UPDATE undo SET reason = judged.reason FROM (
    SELECT u.object_id, CASE
        WHEN {_any(_dangling(model))} THEN 'refers to a row that is gone'
        WHEN {_any(taken(model, columns))} THEN 'its place was taken since'
    END AS reason
    FROM undo u LEFT JOIN {model._meta.db_table} t ON t.id = u.object_id
    WHERE u.model = '{model._meta.label_lower}' AND u.existed AND u.reason IS NULL
) judged
WHERE undo.model = '{model._meta.label_lower}' AND undo.object_id = judged.object_id
  AND judged.reason IS NOT NULL
"""


def shake(model: type[models.Model]) -> str:
    """SQL that marks rows if what their determination was based on has changed since the run.

    Execute it for occurrences first: an unchanged occurrence implies unchanged detections.
    """
    label = model._meta.label_lower
    answered = """AND NOT EXISTS (
    SELECT FROM undo o WHERE o.model = 'main.occurrence' AND o.object_id = n.occurrence_id
    AND o.inputs IS NOT NULL AND NOT o.shaken
)"""
    return f"""
UPDATE undo SET shaken = true FROM {model._meta.db_table} n
WHERE undo.model = '{label}' AND undo.object_id = n.id AND undo.inputs <> {INPUTS[label]}
{answered if label == "main.detection" else ""}
"""


# A determination that something else has changed directly is no longer based on its rows either.
RENAMED = """
UPDATE undo SET shaken = true FROM main_occurrence n
WHERE undo.model = 'main.occurrence' AND undo.object_id = n.id AND NOT derived AND (
    (after ? 'determination_id'
     AND n.determination_id IS DISTINCT FROM (after->>'determination_id')::bigint)
    OR (after ? 'determination_score'
        AND n.determination_score IS DISTINCT FROM (after->>'determination_score')::float8)
)
"""


def restore(model: type[models.Model], columns: list[Column]) -> str:
    """SQL that inserts the deleted rows with all columns."""
    names = ", ".join(f'"{column.name}"' for column in columns)
    values = ", ".join(f"(before->>'{column.name}')::{column.type}" for column in columns)
    return f"""
INSERT INTO {model._meta.db_table} (id, {names})
SELECT object_id, {values} FROM undo
WHERE model = '{model._meta.label_lower}' AND existed AND NOT stands AND reason IS NULL
ORDER BY object_id
"""


def put_back(model: type[models.Model], columns: list[Column]) -> str:
    """SQL that restores the former values of changed columns."""
    values = ", ".join(
        f'"{c.name}" = {"now()" if c.name == "updated_at" else former(c)}' for c in columns
    )
    return f"""
UPDATE {model._meta.db_table} t SET {values}
FROM undo u
WHERE u.model = '{model._meta.label_lower}' AND u.object_id = t.id
  AND u.existed AND u.stands AND u.reason IS NULL
"""


def release(model: type[models.Model]) -> Iterator[str]:
    """SQL that deletes what refers to the created rows without keeping them."""
    for field in keys_to(model):
        if field.model in LOOSE:
            yield f"""
DELETE FROM {field.model._meta.db_table} x USING undo u
WHERE u.model = '{model._meta.label_lower}' AND u.object_id = x.{field.column}
  AND NOT u.existed AND u.stands AND u.reason IS NULL AND {LOOSE[field.model]}
"""


def remove(model: type[models.Model]) -> str:
    """SQL that deletes the created rows."""
    return f"""
DELETE FROM {model._meta.db_table} t USING undo u
WHERE u.model = '{model._meta.label_lower}' AND u.object_id = t.id
  AND NOT u.existed AND u.stands AND u.reason IS NULL
"""


def _dangling(model: type[models.Model]) -> Iterator[str]:
    """Conditions: a former value refers to a row that does not exist and is not restored here."""
    for field in keys_of(model):
        target = field.related_model
        value = f"(u.before->>'{field.column}')::bigint"
        yield f"""{value} IS NOT NULL
            AND NOT EXISTS (SELECT FROM {target._meta.db_table} x WHERE x.id = {value})
            AND NOT EXISTS (SELECT FROM undo d WHERE d.model = '{target._meta.label_lower}'
                            AND d.object_id = {value} AND d.existed AND NOT d.stands
                            AND d.reason IS NULL)"""


def _uses(model: type[models.Model]) -> Iterator[str]:
    """Conditions: another row refers to this one and still does after this portion."""
    journaled = {apps.get_model(label) for label in JOURNALED}
    for field in keys_to(model):
        user, column = field.model, field.column
        released = f"""AND NOT EXISTS (
                SELECT FROM undo d WHERE d.model = '{user._meta.label_lower}'
                AND d.object_id = x.id AND d.stands AND (NOT d.existed OR d.before ? '{column}'))"""
        held = released if user in journaled else ""
        if user in LOOSE:
            held = f"AND NOT {LOOSE[user]}"
        yield f"""EXISTS (SELECT FROM {user._meta.db_table} x
            WHERE x.{column} = u.object_id {held})"""


def _any(conditions: Iterator[str]) -> str:
    return "\n            OR ".join(f"({condition})" for condition in conditions) or "false"

"""The statements that leave alone what belongs to rows that are left alone."""

from collections.abc import Iterator

from django.db import models

from ami.jobs.journal.references import keys_to
from ami.jobs.journal.triggers import JOURNALED

# The detections and occurrences to which a row belongs: now, before the run and after it.
UNITS = """
CREATE TEMPORARY TABLE undo_unit ON COMMIT DROP AS
WITH owner AS (
    SELECT u.model, u.object_id, pk.detection_id
    FROM undo u LEFT JOIN main_classification t ON t.id = u.object_id,
         unnest(ARRAY[t.detection_id, (before->>'detection_id')::bigint,
                      (after->>'detection_id')::bigint]) AS pk (detection_id)
    WHERE u.model = 'main.classification'
    UNION ALL
    SELECT model, object_id, object_id FROM undo WHERE model = 'main.detection'
)
SELECT model, object_id, 'detection' AS kind, detection_id AS unit FROM owner
WHERE detection_id IS NOT NULL
UNION
SELECT model, object_id, 'occurrence', d.occurrence_id
FROM owner JOIN main_detection d ON d.id = owner.detection_id WHERE d.occurrence_id IS NOT NULL
UNION
SELECT u.model, u.object_id, 'occurrence', pk
FROM undo u LEFT JOIN main_identification t ON t.id = u.object_id
                  AND u.model = 'main.identification',
     unnest(ARRAY[t.occurrence_id, (before->>'occurrence_id')::bigint,
                  (after->>'occurrence_id')::bigint]) AS pk
WHERE u.model IN ('main.identification', 'main.detection') AND pk IS NOT NULL
UNION
SELECT model, object_id, 'occurrence', object_id FROM undo WHERE model = 'main.occurrence';
ANALYZE undo_unit
"""

# Leave alone every row that shares a detection or an occurrence with a row left alone. Repeated
# until no row changes.
SPREAD = """
UPDATE undo SET by_job = cause.by_job, by_user = cause.by_user,
    reason = CASE undo.model WHEN 'main.occurrence' THEN 'a row of it was left alone'
             ELSE 'its occurrence was left alone' END
FROM (
    SELECT DISTINCT ON (m.model, m.object_id)
           m.model, m.object_id, u.by_job, u.by_user
    FROM undo u
    JOIN undo_unit own ON own.model = u.model AND own.object_id = u.object_id
    JOIN undo_unit m ON m.kind = own.kind AND m.unit = own.unit
    WHERE u.reason IS NOT NULL AND NOT u.derived
    ORDER BY m.model, m.object_id, u.by_job DESC NULLS LAST, u.by_user DESC NULLS LAST
) cause
WHERE undo.reason IS NULL AND undo.model = cause.model AND undo.object_id = cause.object_id
"""


def hold(model: type[models.Model]) -> Iterator[str]:
    """SQL that leaves alone every created row to which a row left alone refers.

    For captures, nights, deployments and taxa, which several occurrences share.
    """
    label = model._meta.label_lower
    for field in keys_to(model):
        if field.model._meta.label in JOURNALED:
            yield f"""
UPDATE undo SET reason = 'a row left alone refers to it',
                by_job = cause.by_job, by_user = cause.by_user
FROM (
    SELECT DISTINCT ON (x.{field.column}) x.{field.column} AS pk, u.by_job, u.by_user
    FROM undo u JOIN {field.model._meta.db_table} x ON x.id = u.object_id
    WHERE u.model = '{field.model._meta.label_lower}' AND u.reason IS NOT NULL
    ORDER BY x.{field.column}, u.by_job DESC NULLS LAST, u.by_user DESC NULLS LAST
) cause
WHERE undo.model = '{label}' AND undo.object_id = cause.pk
  AND NOT undo.existed AND undo.stands AND undo.reason IS NULL
"""

"""SQL that finds the later Job or the user because of which a row is left alone."""

from collections.abc import Iterator

from django.apps import apps
from django.db import models

from ami.jobs.journal.references import keys_of, keys_to
from ami.jobs.journal.rivals_sql import rivals
from ami.jobs.journal.triggers import JOURNALED, Column

LOOKED_AT = 100  # rows that refer to a row: a taxon may have millions

# The newest change that another Job made to the row `{row}` after the change to undo.
LATER = """
    SELECT c.job_id, c.kind, c.after FROM jobs_jobchange c JOIN jobs_job j ON j.id = c.job_id
    WHERE c.object_id = {row} AND c.model = '{label}' AND c.id > u.last AND c.kind <> 'left'
      AND NOT j.dry_run AND c.job_id <> ALL(ARRAY[%(former)s, %(job)s]::bigint[]) {condition}
    ORDER BY c.id DESC LIMIT 1
"""

# The user who last edited the row in the admin after the change to undo.
EDITED = """
    SELECT l.user_id FROM django_admin_log l JOIN django_content_type t ON t.id = l.content_type_id
    WHERE t.app_label = '{app}' AND t.model = '{name}' AND l.object_id = u.object_id::text
      AND l.action_time > u.written_at
    ORDER BY l.id DESC LIMIT 1
"""

# The user who last identified the occurrence after the change to undo.
IDENTIFIED = """
    SELECT i.user_id FROM main_identification i
    WHERE i.occurrence_id = u.object_id AND i.updated_at > u.written_at
    ORDER BY i.updated_at DESC, i.id DESC LIMIT 1
"""


def blame(model: type[models.Model], columns: list[Column]) -> str:
    """SQL that sets the Job, or else the user, that is the cause for each row with a reason.

    A Job is the cause if the row is as that Job left it. The cause may be unknown.
    """
    meta = model._meta
    differs = " OR ".join(
        f"(since.after ? '{c.name}' AND t.{c.name} IS DISTINCT FROM "
        f"(since.after->>'{c.name}')::{c.type})"
        for c in columns
    )
    touched = "AND (c.kind <> 'changed' OR c.after ?| ARRAY(SELECT jsonb_object_keys(u.after)))"
    later = LATER.format(row="u.object_id", label=meta.label_lower, condition=touched)
    return f"""
UPDATE undo SET by_job = blamed.by_job,
                by_user = CASE WHEN blamed.by_job IS NULL THEN blamed.by_user END
FROM (
    SELECT u.object_id,
           CASE u.reason
           WHEN 'in use since' THEN {_first(_users_jobs(model))}
           WHEN 'refers to a row that is gone' THEN {_first(_deleters(model))}
           WHEN 'its place was taken since' THEN {_first(_takers(model, columns))}
           ELSE CASE WHEN (since.kind = 'deleted') = (t.id IS NULL) AND ({differs}) IS NOT TRUE
                     THEN since.job_id END
           END AS by_job,
           {_first(_people(model))} AS by_user
    FROM undo u LEFT JOIN {meta.db_table} t ON t.id = u.object_id
    LEFT JOIN LATERAL ({later}) since ON true
    WHERE u.model = '{meta.label_lower}' AND u.reason IS NOT NULL AND NOT u.left_before
) blamed
WHERE undo.model = '{meta.label_lower}' AND undo.object_id = blamed.object_id
"""


def _people(model: type[models.Model]) -> Iterator[str]:
    label = model._meta.label_lower
    if label == "main.identification":
        yield "t.user_id"
    if label == "main.occurrence":
        yield f"({IDENTIFIED})"
    yield f"({EDITED.format(app=model._meta.app_label, name=model._meta.model_name)})"


def _users_jobs(model: type[models.Model]) -> Iterator[str]:
    """Subqueries for the Job that made another row refer to this one."""
    journaled = {apps.get_model(label) for label in JOURNALED}
    for field in keys_to(model):
        user = field.model
        if user not in journaled:
            continue
        later = LATER.format(row="x.id", label=user._meta.label_lower, condition="")
        yield f"""(SELECT made.job_id FROM (
                    SELECT id FROM {user._meta.db_table} WHERE {field.column} = u.object_id
                    ORDER BY id DESC LIMIT {LOOKED_AT}
                ) x CROSS JOIN LATERAL ({later}) made LIMIT 1)"""


def _takers(model: type[models.Model], columns: list[Column]) -> Iterator[str]:
    """Subqueries for the Job that gave another row the value that must be unique."""
    later = LATER.format(row="x.id", label=model._meta.label_lower, condition="")
    for rival in rivals(model, columns):
        yield f"""(SELECT made.job_id FROM {model._meta.db_table} x
                CROSS JOIN LATERAL ({later}) made WHERE {rival} LIMIT 1)"""


def _deleters(model: type[models.Model]) -> Iterator[str]:
    """Subqueries for the Job that deleted a row to which this one refers."""
    journaled = {apps.get_model(label) for label in JOURNALED}
    for field in keys_of(model):
        target = field.related_model
        if target not in journaled:
            continue
        later = LATER.format(
            row=f"(u.before->>'{field.column}')::bigint",
            label=target._meta.label_lower,
            condition="AND c.kind = 'deleted'",
        )
        yield f"(SELECT gone.job_id FROM ({later}) gone)"


def _first(expressions: Iterator[str]) -> str:
    return f"COALESCE({', '.join([*expressions, 'NULL::bigint'])})"

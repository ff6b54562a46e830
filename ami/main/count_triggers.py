# ruff: noqa: S608  (composed of constants)
"""The triggers that keep the cached counts correct.

They see every row that is added, moved or deleted. The count of a capture is written at once.
Differences for nights and deployments are recorded and applied at commit. A deployment, which many
transactions change, is therefore locked only during a commit, and always after its nights, so that
deadlocks are impossible.
"""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# The differences of a transaction that were not yet applied. No transaction sees those of another,
# and none are left after the commit, so the table can be unlogged: a crash loses nothing.
NOTES = """
CREATE UNLOGGED TABLE main_countnote (
    event_id bigint, deployment_id bigint,
    events bigint NOT NULL DEFAULT 0, captures bigint NOT NULL DEFAULT 0,
    detections bigint NOT NULL DEFAULT 0, occurrences bigint NOT NULL DEFAULT 0
)
"""

# Each changed row, in its old form (n = -1) and in its new form (n = 1).
TOUCHED = {
    "insert": "SELECT {columns}, 1 AS n FROM new_rows",
    "delete": "SELECT {columns}, -1 AS n FROM old_rows",
    "update": "SELECT {columns}, -1 AS n FROM old_rows UNION ALL SELECT {columns}, 1 FROM new_rows",
}
TRANSITIONS = {
    "insert": "NEW TABLE AS new_rows",
    "update": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "OLD TABLE AS old_rows",
}

# By table: the columns that counts depend on, and the statement that records the differences.
# A capture that moves takes its detections with it. A transaction that changes its detections has
# locked the capture, so none is missed.
NOTED = {
    "main_event": (
        "deployment_id",
        """
        INSERT INTO main_countnote (deployment_id, events)
        SELECT deployment_id, sum(n) FROM touched WHERE deployment_id IS NOT NULL
        GROUP BY deployment_id HAVING sum(n) <> 0""",
    ),
    "main_sourceimage": (
        "id, event_id, deployment_id",
        """
        , moved AS (
            SELECT id, event_id, deployment_id, sum(n) AS n FROM touched
            GROUP BY id, event_id, deployment_id HAVING sum(n) <> 0
        )
        INSERT INTO main_countnote (event_id, deployment_id, captures, detections)
        SELECT event_id, deployment_id, sum(n), sum(n * held.detections)
        FROM moved, LATERAL (
            SELECT count(*) AS detections FROM main_detection d WHERE d.source_image_id = moved.id
        ) held
        WHERE event_id IS NOT NULL OR deployment_id IS NOT NULL
        GROUP BY event_id, deployment_id""",
    ),
    "main_detection": (
        "source_image_id",
        """
        , changed AS (
            SELECT source_image_id AS id, sum(n) AS n FROM touched
            GROUP BY source_image_id HAVING sum(n) <> 0
        ), held AS (
            SELECT s.id, n FROM main_sourceimage s JOIN changed ON s.id = changed.id
            ORDER BY s.id FOR NO KEY UPDATE OF s
        ), counted AS (
            UPDATE main_sourceimage s SET detections_count = GREATEST(0, detections_count + n)
            FROM held WHERE s.id = held.id
            RETURNING s.event_id, s.deployment_id, n
        )
        INSERT INTO main_countnote (event_id, deployment_id, detections)
        SELECT event_id, deployment_id, sum(n) FROM counted
        WHERE event_id IS NOT NULL OR deployment_id IS NOT NULL
        GROUP BY event_id, deployment_id HAVING sum(n) <> 0""",
    ),
    "main_occurrence": (
        "event_id, deployment_id",
        """
        INSERT INTO main_countnote (event_id, deployment_id, occurrences)
        SELECT event_id, deployment_id, sum(n) FROM touched
        WHERE event_id IS NOT NULL OR deployment_id IS NOT NULL
        GROUP BY event_id, deployment_id HAVING sum(n) <> 0""",
    ),
}

# PostgreSQL plans each statement once per session, for the number of rows at that time. These
# settings make it look up rows by index, whatever their number is later.
BY_INDEX = (
    "SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off"
)

# The first difference of a transaction adds an empty row, whose deferred trigger fires at commit.
NOTE_FUNCTION = f"""
CREATE OR REPLACE FUNCTION main_note_{{table}}_{{event}}() RETURNS trigger LANGUAGE plpgsql
{BY_INDEX} AS $note$
BEGIN
    WITH touched AS ({{touched}}) {{statement}};
    IF FOUND AND COALESCE(current_setting('ami.counts', true), '') = '' THEN
        PERFORM set_config('ami.counts', 'noted', true);
        INSERT INTO main_countnote DEFAULT VALUES;
    END IF;
    RETURN NULL;
END $note$
"""
# Called once per statement: a bulk insert adds one difference per night, and not one per row.
NOTE_TRIGGER = """
CREATE OR REPLACE TRIGGER main_counts_{event} AFTER {event} ON {table} REFERENCING {tables}
FOR EACH STATEMENT EXECUTE FUNCTION main_note_{table}_{event}()
"""
# Applies the sums of the differences: first to nights, then to deployments, in the order of ids.
APPLY_FUNCTION = f"""
CREATE OR REPLACE FUNCTION main_apply_counts() RETURNS trigger LANGUAGE plpgsql
{BY_INDEX} AS $apply$
BEGIN
    PERFORM set_config('ami.counts', '', true);
    PERFORM FROM main_event WHERE id = ANY(ARRAY(SELECT event_id FROM main_countnote))
        ORDER BY id FOR NO KEY UPDATE;
    UPDATE main_event e SET
        captures_count = GREATEST(0, e.captures_count + note.captures),
        detections_count = GREATEST(0, e.detections_count + note.detections),
        occurrences_count = GREATEST(0, e.occurrences_count + note.occurrences)
    FROM (
        SELECT event_id, sum(captures) AS captures, sum(detections) AS detections,
               sum(occurrences) AS occurrences
        FROM main_countnote GROUP BY event_id
    ) note
    WHERE e.id = note.event_id
      AND (note.captures, note.detections, note.occurrences) <> (0, 0, 0);
    PERFORM FROM main_deployment WHERE id = ANY(ARRAY(SELECT deployment_id FROM main_countnote))
        ORDER BY id FOR NO KEY UPDATE;
    UPDATE main_deployment d SET
        events_count = GREATEST(0, d.events_count + note.events),
        captures_count = GREATEST(0, d.captures_count + note.captures),
        detections_count = GREATEST(0, d.detections_count + note.detections),
        occurrences_count = GREATEST(0, d.occurrences_count + note.occurrences)
    FROM (
        SELECT deployment_id, sum(events) AS events, sum(captures) AS captures,
               sum(detections) AS detections, sum(occurrences) AS occurrences
        FROM main_countnote GROUP BY deployment_id
    ) note
    WHERE d.id = note.deployment_id
      AND (note.events, note.captures, note.detections, note.occurrences) <> (0, 0, 0, 0);
    DELETE FROM main_countnote;
    RETURN NULL;
END $apply$
"""
APPLY_TRIGGER = """
CREATE CONSTRAINT TRIGGER main_counts AFTER INSERT ON main_countnote
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (NEW.event_id IS NULL AND NEW.deployment_id IS NULL) EXECUTE FUNCTION main_apply_counts()
"""


def install_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Install the triggers; a step of a migration."""
    schema_editor.execute(NOTES)
    schema_editor.execute(APPLY_FUNCTION)
    schema_editor.execute(APPLY_TRIGGER)
    for table, (columns, statement) in NOTED.items():
        for event, tables in TRANSITIONS.items():
            touched = TOUCHED[event].format(columns=columns)
            function = NOTE_FUNCTION.format(
                table=table, event=event, touched=touched, statement=statement
            )
            schema_editor.execute(function)
            schema_editor.execute(NOTE_TRIGGER.format(table=table, event=event, tables=tables))


def remove_triggers(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Undo :func:`install_triggers`."""
    for table in NOTED:
        for event in TRANSITIONS:
            schema_editor.execute(f"DROP FUNCTION main_note_{table}_{event} CASCADE")
    schema_editor.execute("DROP TABLE main_countnote")
    schema_editor.execute("DROP FUNCTION main_apply_counts")

"""What a run leaves, in a form in which two runs on equal rows can be compared."""

import json
from collections import defaultdict
from typing import Any

from django.apps import apps
from django.db import connection

from ami.jobs.models import Job
from ami.jobs.summary import skipped_in

# A created row is named by what it belongs to, because its id depends on the order of the work.
NAMES = {
    "main_classification": """
        SELECT id, format('on detection %s over %s', detection_id, applied_to_id)
        FROM main_classification""",
    "main_occurrence": """
        SELECT occurrence_id, format('of detection %s', min(id))
        FROM main_detection WHERE occurrence_id IS NOT NULL GROUP BY occurrence_id""",
    "main_taxon": "SELECT id, name FROM main_taxon",
    "ml_algorithm": "SELECT id, key FROM ml_algorithm",
}
TABLE_OF = {
    "occurrence_id": "main_occurrence",
    "taxon_id": "main_taxon",
    "determination_id": "main_taxon",
    "algorithm_id": "ml_algorithm",
    "applied_to_id": "main_classification",
}
TIMES = frozenset({"created_at", "updated_at", "timestamp"})
PART = (
    "number",
    "state",
    "batches",
    "cursor",
    "rows_total",
    "rows_done",
    "rows_failed",
    "attempts",
)


def highest_ids() -> dict[str, int]:
    """The highest id of each table that a run adds rows to; call this before the run."""
    with connection.cursor() as cursor:
        marks = {}
        for table in NAMES:
            cursor.execute(f"SELECT COALESCE(max(id), 0) FROM {table}")
            marks[table] = cursor.fetchone()[0]
        return marks


class Likeness:
    """Rows, journal, counters and parts after a run, without the ids and times of new rows."""

    def __init__(self, marks: dict[str, int]) -> None:
        self.marks = marks
        self.names = {table: dict(_fetch(sql)) for table, sql in NAMES.items()}

    def tables(self) -> dict[str, list[str]]:
        """The rows of every table of `ami.main` and `ami.ml`, except the audit, as sorted texts."""
        models = [*apps.get_app_config("main").get_models(include_auto_created=True)]
        models += apps.get_app_config("ml").get_models(include_auto_created=True)
        return {
            table: sorted(
                _text(self._row(table, json.loads(row)))
                for (row,) in _fetch(f"SELECT to_jsonb(t)::text FROM {table} t")
            )
            for table in sorted({model._meta.db_table for model in models} - {"main_auditnote"})
        }

    def of(self, job: Job) -> dict[str, Any]:
        """All results of the Job."""
        job.refresh_from_db()
        return self.tables() | {
            "journal": self._journal(job),
            "parts": [
                {name: getattr(part, name) for name in PART}
                | {"counts": dict(part.counts), "skipped": part.skipped}
                for part in job.parts.order_by("number")
            ],
            "job": (job.status, job.outcome, job.error, job.admitted_at),
            "figures": [
                (stage.key, stage.status, stage.progress, {p.key: p.value for p in stage.params})
                for stage in job.progress.stages
            ],
            "log": sorted(
                job.logs.filter(message__in=skipped_in(job)).values_list("message", flat=True)
            ),
        }

    def _journal(self, job: Job) -> list[str]:
        """For each batch, the changes of each object in their order."""
        batches: dict[int, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        changes = job.changes.order_by("pk")
        for batch, kind, model, pk, before, after in changes.values_list(
            "batch", "kind", "model", "object_id", "before", "after"
        ):
            table = model.replace(".", "_")
            name = f"{model} {self._name(table, pk)}"
            values = [self._values(table, pk, columns or {}) for columns in (before, after)]
            batches[batch][name].append([kind, *values])
        return sorted(_text(objects) for objects in batches.values())

    def _row(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        row.pop("updated_at", None)
        return {"id": self._name(table, row.get("id"))} | self._values(table, row.pop("id"), row)

    def _values(self, table: str, pk: int, columns: dict[str, Any]) -> dict[str, Any]:
        created = pk > self.marks.get(table, pk)
        return {
            name: self._name(TABLE_OF.get(name, ""), value)
            for name, value in columns.items()
            if not (created and name in TIMES)
        }

    def _name(self, table: str, pk: Any) -> Any:
        if pk is None or table not in NAMES or pk <= self.marks[table]:
            return pk
        return self.names[table].get(pk, "gone")


def _fetch(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

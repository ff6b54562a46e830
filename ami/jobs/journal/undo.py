"""Undo journaled changes with set-based SQL on the net effect of whole batches.

An occurrence is undone or left alone as a whole: if one of its rows cannot be undone, none of its
changes by the same batches is. Only its determination is separate, because it follows from the
rest.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection, models
from django.db.models import Q, QuerySet

from ami.jobs.journal import undo_sql
from ami.jobs.journal.blame_sql import blame
from ami.jobs.journal.triggers import JOURNALED, columns_of
from ami.jobs.models import Job
from ami.main.determinations import INPUTS, update_determinations
from ami.main.models import Classification, Detection, Identification, Occurrence

BATCH_SIZE = 10_000


class Portion(NamedTuple):
    """The batches of a run that one batch of its revert undoes, newest first.

    Their journal entries have ids from `first` to `last`, `size` in number.
    """

    batches: list[int]
    first: int
    last: int
    size: int


class Undone(NamedTuple):
    """The number of rows of a table with the same result, and the first ids.

    For rows left alone, also the reason and the Job or user that is the cause, if known.
    """

    fate: str
    model: str
    reason: str | None
    by_job: int | None
    by_user: int | None
    rows: int
    ids: list[int]


def plan_portions(job: Job) -> list[Portion]:
    """The changes of `job`, newest first, in portions of about `BATCH_SIZE` changes.

    A portion consists of whole batches, so that after each portion the rows are as they once were
    between two batches of the run.
    """
    with connection.cursor() as cursor:
        cursor.execute(undo_sql.PLAN, {"job": job.pk, "size": BATCH_SIZE})
        return [Portion(*row) for row in cursor.fetchall()]


def touched_by(job: Job) -> QuerySet[Detection]:
    """The detections to which the rows that `job` changed belong now."""
    classifications = Classification.objects.filter(pk__in=_changed(job, Classification))
    identifications = Identification.objects.filter(pk__in=_changed(job, Identification))
    return Detection.objects.filter(
        Q(pk__in=_changed(job, Detection))
        | Q(pk__in=classifications.values("detection_id"))
        | Q(occurrence__in=_changed(job, Occurrence))
        | Q(occurrence__in=identifications.values("occurrence_id"))
    )


def _changed(job: Job, model: type[models.Model]) -> Any:
    return job.changes.filter(model=model._meta.label_lower).values("object_id")


def undo(former: Job, portion: Portion, *, by: int) -> list[Undone]:
    """Undo a portion of what `former` did, as the Job with the id `by`, where that is possible.

    Call this in a batch of that Job. The number of queries depends only on the length of the
    longest chain of rows that are left alone because of each other.
    """
    jobs = {"former": former.pk, "job": by}
    with connection.cursor() as cursor:
        cursor.execute(undo_sql.COLLECT, jobs | portion._asdict())
        unsettled = _judge(cursor, jobs)
        for statement in _statements():
            cursor.execute(statement)
        update_determinations(unsettled)
        cursor.execute(undo_sql.RENAME)
        cursor.execute(undo_sql.LEAVE, [by])
        cursor.execute(undo_sql.FATES)
        fates = [Undone(*row) for row in cursor.fetchall()]
        cursor.execute("DROP TABLE undo, undo_unit")
    return fates


def _judge(cursor: Any, jobs: dict[str, int]) -> list[int]:
    """Decide what is left alone and why; return the occurrences to determine by the rule."""
    tables = [(model, columns_of(model)) for model in _models()]
    for model, _ in tables:
        cursor.execute(undo_sql.lock(model))
    for table in tables:
        cursor.execute(undo_sql.judge(*table))
    for table in tables:
        cursor.execute(blame(*table), jobs)
    cursor.execute(undo_sql.IDENTIFIED)
    cursor.execute(undo_sql.JOINED, jobs)
    cursor.execute(undo_sql.UNITS)
    while True:
        cursor.execute(undo_sql.SPREAD)
        if not cursor.rowcount:
            break
    for label in INPUTS:
        cursor.execute(undo_sql.shake(apps.get_model(label)))
    cursor.execute(undo_sql.RENAMED)
    cursor.execute(undo_sql.UNSETTLED)
    return [pk for (pk,) in cursor.fetchall()]


def _models() -> Iterator[type[models.Model]]:
    return (apps.get_model(label) for label in JOURNALED)


def _statements() -> Iterator[str]:
    """Restore referenced rows before, and delete them after, the rows that refer to them."""
    tables: list[tuple[Any, Any]] = [(model, columns_of(model)) for model in _models()]
    yield from (undo_sql.restore(*table) for table in reversed(tables))
    for model, columns in tables:
        yield undo_sql.put_back(model, columns)
        yield undo_sql.remove(model)

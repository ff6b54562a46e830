"""Undo journaled changes with set-based SQL on the net effect of whole batches.

An occurrence is undone or left alone as a whole: if one of its rows cannot be undone, none of its
changes by the same batches is. Only its determination is separate, because it follows from the
rest.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.db import connection, models
from django.db.models import Q, QuerySet

from ami.jobs.journal import spread_sql, undo_sql
from ami.jobs.journal.blame_sql import blame
from ami.jobs.journal.narrow import batches_of, narrow
from ami.jobs.journal.triggers import JOURNALED, Column, columns_of
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


def plan_portions(job: Job, occurrences: Collection[int] = ()) -> list[Portion]:
    """The changes of `job`, newest first, in portions of about `BATCH_SIZE` changes.

    A portion consists of whole batches, so that after each portion the rows are as they once were
    between two batches of the run. If only some `occurrences` are to be undone, it consists of the
    batches that changed them, and its size is the number of their changes.
    """
    with connection.cursor() as cursor:
        cursor.execute(undo_sql.PLAN, {"job": job.pk, "size": BATCH_SIZE})
        portions = [Portion(*row) for row in cursor.fetchall()]
    if not occurrences:
        return portions
    own = batches_of(job, occurrences)
    found = []
    for portion in portions:
        if batches := [batch for batch in portion.batches if batch in own]:
            size = sum(own[batch] for batch in batches)
            found.append(portion._replace(batches=batches, size=size))
    return found


def touched_by(job: Job, occurrences: Collection[int]) -> QuerySet[Detection]:
    """The detections to which the rows that `job` changed belong now.

    If only some `occurrences` are to be undone, those that it changed in the same batches.
    """
    changes: QuerySet[Any] = job.changes.all()
    if occurrences:
        changes = changes.filter(batch__in=list(batches_of(job, occurrences)))

    def changed(model: type[models.Model]) -> Any:
        return changes.filter(model=model._meta.label_lower).values("object_id")

    classifications = Classification.objects.filter(pk__in=changed(Classification))
    identifications = Identification.objects.filter(pk__in=changed(Identification))
    return Detection.objects.filter(
        Q(pk__in=changed(Detection))
        | Q(pk__in=classifications.values("detection_id"))
        | Q(occurrence__in=changed(Occurrence))
        | Q(occurrence__in=identifications.values("occurrence_id"))
    )


def undo(
    former: Job, portion: Portion, *, by: int, occurrences: Collection[int] = ()
) -> list[Undone]:
    """Undo a portion of what `former` did, as the Job with the id `by`, where that is possible.

    If `occurrences` are given, only their rows, and those that are connected with them, are undone.
    Call this in a batch of that Job. The number of queries depends only on the length of the
    longest chain of rows that are left alone because of each other.
    """
    jobs = {"former": former.pk, "job": by}
    with connection.cursor() as cursor:
        cursor.execute(undo_sql.COLLECT, jobs | portion._asdict())
        if occurrences:
            cursor.execute(spread_sql.UNITS)
            narrow(cursor, occurrences)
            cursor.execute("DROP TABLE undo_unit")
        tables = _tables(cursor)
        unsettled = _judge(cursor, jobs, tables)
        for statement in _statements(tables):
            cursor.execute(statement)
        update_determinations(unsettled)
        cursor.execute(undo_sql.RENAME)
        cursor.execute(undo_sql.LEAVE, [by])
        cursor.execute(undo_sql.FATES)
        fates = [Undone(*row) for row in cursor.fetchall()]
        cursor.execute("DROP TABLE undo, undo_unit")
    return fates


def _tables(cursor: Any) -> list[tuple[type[models.Model], list[Column]]]:
    """The tables whose rows are to be undone; one comes before those that it refers to."""
    cursor.execute("SELECT DISTINCT model FROM undo")
    changed = {label for (label,) in cursor.fetchall()}
    journaled = [apps.get_model(label) for label in JOURNALED]
    return [(model, columns_of(model)) for model in journaled if model._meta.label_lower in changed]


def _judge(
    cursor: Any, jobs: dict[str, int], tables: Sequence[tuple[type[models.Model], list[Column]]]
) -> list[int]:
    """Decide what is left alone and why; return the occurrences to determine by the rule."""
    for model, _ in tables:
        cursor.execute(undo_sql.lock(model))
    for table in tables:
        cursor.execute(undo_sql.judge(*table))
    for table in tables:
        cursor.execute(blame(*table), jobs)
    cursor.execute(undo_sql.IDENTIFIED)
    cursor.execute(undo_sql.JOINED, jobs)
    cursor.execute(spread_sql.UNITS)
    _spread(cursor, tables)
    for label in INPUTS:
        cursor.execute(undo_sql.shake(apps.get_model(label)))
    cursor.execute(undo_sql.RENAMED)
    cursor.execute(undo_sql.UNSETTLED)
    return [pk for (pk,) in cursor.fetchall()]


def _spread(cursor: Any, tables: Sequence[tuple[type[models.Model], list[Column]]]) -> None:
    """Leave alone what belongs to rows that are left alone, until no row changes."""
    statements = [
        spread_sql.SPREAD,
        *(one for model, _ in tables for one in spread_sql.hold(model)),
        *(undo_sql.strand(*table) for table in tables),
    ]
    spread = True
    while spread:
        spread = False
        for statement in statements:
            cursor.execute(statement)
            spread = spread or cursor.rowcount > 0


def _statements(
    tables: Sequence[tuple[type[models.Model], list[Column]]],
) -> Iterator[str]:
    """Restore referenced rows before, and delete them after, the rows that refer to them."""
    yield from (undo_sql.restore(*table) for table in reversed(tables))
    for model, columns in tables:
        yield undo_sql.put_back(model, columns)
        yield from undo_sql.release(model)
        yield undo_sql.remove(model)

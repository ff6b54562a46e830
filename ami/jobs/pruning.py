"""Delete old Jobs with their logs, parts and journals.

At most 10,000 rows are deleted per statement and transaction, without a cascade that would read the
rows first. A Job is marked before its journal is deleted, so that no half of it can be reverted.
The row of a Job stays if others refer to it, such as classifications that it wrote.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.models import DELETION
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from ami.base.audit import Kind, record
from ami.jobs.engine.basis import delete_unused
from ami.jobs.models import Job, JobChange, JobLog, JobPart
from ami.jobs.states import FINAL
from ami.users.models import User

ROWS_AT_ONCE = 10_000
JOBS_AT_ONCE = 200
PRUNED = "The parts, the journal and the log of this old Job were deleted."
UNUSED_AFTER = timedelta(days=1)  # a younger row may belong to a Job that is being planned
OWNED: dict[str, type[models.Model]] = {"changes": JobChange, "parts": JobPart, "logs": JobLog}

# All Jobs except those that have not ended long ago and the Jobs that these refer to: a revert
# needs the journal of the Job that it reverts, and a waiting Job needs the Job that it waits for.
PRUNABLE = """
WITH RECURSIVE kept (id) AS (
    SELECT id FROM jobs_job
    WHERE pruned_at IS NULL
      AND NOT (status = ANY(%s) AND COALESCE(finished_at, updated_at) < %s)
    UNION
    SELECT former.id FROM kept JOIN jobs_job j USING (id),
        unnest(ARRAY[j.reverts_id, j.applies_id, j.waits_for_id]) AS former (id)
    WHERE former.id IS NOT NULL
)
SELECT id FROM jobs_job EXCEPT SELECT id FROM kept
"""
# The array is computed once; a plain IN could scan the whole table.
DELETE_OWNED = """
DELETE FROM {table} WHERE id = ANY(ARRAY(
    SELECT id FROM {table} WHERE job_id = %s ORDER BY id LIMIT %s
))
"""
# A DELETE in SQL does not clear references as Django's `on_delete` does.
UNLINK = "UPDATE jobs_job SET {column} = NULL WHERE {column} = %s"
DELETE = "DELETE FROM jobs_job WHERE id = %s"


def prunable(before: datetime) -> QuerySet[Job]:
    """The Jobs that ended before `before` and have something left to delete."""
    old = Job.objects.filter(pk__in=RawSQL(PRUNABLE, [sorted(FINAL), before]))  # noqa: S611 -- no text is put in
    return old.filter(Q(pruned_at=None) | _owns("changes") | _owns("parts") | ~_is_named())


def with_old_log(before: datetime) -> QuerySet[Job]:
    """The Jobs that ended before `before` and still have a log."""
    ended = Q(finished_at__lt=before) | Q(finished_at=None, updated_at__lt=before)
    return Job.objects.filter(ended & _owns("logs"), status__in=FINAL)


def count(before: datetime, *, logs_before: datetime) -> Counter[str]:
    """Count what :func:`prune` would delete, under the same names."""
    jobs = prunable(before)
    figures = Counter(
        jobs=jobs.exclude(_is_named()).count(), jobs_emptied=jobs.filter(_is_named()).count()
    )
    for ids in _by_newest(jobs):
        figures["changes"] += JobChange.objects.filter(job__in=ids).count()
        figures["parts"] += JobPart.objects.filter(job__in=ids).count()
    for ids in _by_newest(with_old_log(max(before, logs_before))):
        figures["logs"] += JobLog.objects.filter(job__in=ids).count()
    return figures


def prune(
    before: datetime, *, logs_before: datetime, user: User | None = None
) -> Iterator[Counter[str]]:
    """Delete Jobs that ended before `before`, and logs of Jobs that ended before `logs_before`.

    Yields the figures so far: `jobs` deleted, `jobs_emptied` whose row stays, and the deleted rows
    of `changes`, `parts` and `logs`. It can be stopped at any time and run again. The audit records
    for each Job, but not for logs, that `user` deleted it.
    """
    figures: Counter[str] = Counter()
    for ids in _by_newest(with_old_log(max(before, logs_before))):
        for pk in ids:
            yield from _delete_owned(pk, "logs", figures)
    for ids in _by_newest(prunable(before)):
        for pk in ids:
            if not _mark(pk, user):
                continue
            for name in OWNED:
                yield from _delete_owned(pk, name, figures)
            figures["jobs" if _delete(pk) else "jobs_emptied"] += 1
            yield figures
    delete_unused(before=timezone.now() - UNUSED_AFTER)


def _by_newest(jobs: QuerySet[Job]) -> Iterator[list[int]]:
    """The ids, newest first, so that Jobs are deleted before the Jobs that they refer to."""
    rows = jobs.order_by("-pk").values_list("pk", flat=True)
    ids = list(rows[:JOBS_AT_ONCE])
    while ids:
        yield ids
        ids = list(rows.filter(pk__lt=ids[-1])[:JOBS_AT_ONCE])


def _mark(pk: int, user: User | None) -> bool:
    """Mark the Job as pruned. Returns False if another Job needs it in the meantime."""
    with transaction.atomic():
        job = Job.objects.select_for_update().filter(pk=pk, status__in=FINAL).first()
        refers = Q(reverts=pk) | Q(applies=pk) | Q(waits_for=pk)
        if job is None or Job.objects.filter(refers, pruned_at=None).exists():
            return False
        if Job.objects.filter(pk=pk, pruned_at=None).update(pruned_at=timezone.now(), basis=None):
            record([job], kind=Kind.DELETE, user=user, message=PRUNED, flag=DELETION)
    return True


def _delete_owned(pk: int, name: str, figures: Counter[str]) -> Iterator[Counter[str]]:
    sql = DELETE_OWNED.format(table=OWNED[name]._meta.db_table)
    deleted = ROWS_AT_ONCE
    while deleted == ROWS_AT_ONCE:
        with connection.cursor() as cursor:
            cursor.execute(sql, [pk, ROWS_AT_ONCE])
            deleted = cursor.rowcount
        if deleted:
            figures[name] += deleted
            yield figures


def _delete(pk: int) -> bool:
    """Delete the emptied Job. Returns False if it stays because other rows refer to it."""
    with transaction.atomic(), connection.cursor() as cursor:
        unnamed = Job.objects.select_for_update(of=("self",)).filter(~_is_named(), pk=pk)
        if not unnamed.exists():
            return False
        for column in ("reverts_id", "applies_id", "waits_for_id"):
            cursor.execute(UNLINK.format(column=column), [pk])
        cursor.execute(DELETE, [pk])
    return True


def _owns(name: str) -> Q:
    return Q(Exists(OWNED[name]._default_manager.filter(job=OuterRef("pk"))))


def _is_named() -> Q:
    """Whether rows other than Jobs and their parts, logs and changes refer to the Job."""
    own = {Job, *OWNED.values()}
    named = Q(pk__in=[])
    relation: Any
    for relation in Job._meta.related_objects:
        if (model := relation.related_model) not in own:
            rows = model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            named |= Q(Exists(rows))
    return named

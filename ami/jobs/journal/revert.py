"""Revert a Job: a Job of its own that restores what the other Job's journal records."""

from collections.abc import Collection
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from ami.base.audit import Kind, record
from ami.base.ids import stored_id, stored_ids
from ami.jobs.engine.registry import JOB_TYPES
from ami.jobs.engine.work import Planned, PlannedWork
from ami.jobs.journal.narrow import batches_of
from ami.jobs.journal.undo import Portion, Undone, plan_portions, touched_by, undo
from ami.jobs.models import Job, JobChange
from ami.jobs.service import create_jobs
from ami.jobs.states import STOPPED_SHORT, JobFailedError, JobState
from ami.main.models import Detection
from ami.users.models import User

JOB_TYPE = "revert"
NOBODY = 0  # the id of a revert that does not exist yet
PATIENCE = "SET LOCAL lock_timeout = '2s'"
COUNTERS = {
    "put back": "former_values_restored",
    "removed": "created_rows_deleted",
    "restored": "deleted_rows_inserted",
    "renamed": "determinations_recomputed",
    "left alone": "rows_left_alone",
}


class RevertRefusedError(Exception):
    """The Job cannot be reverted; the message says why."""


def refusal(job: Job) -> str | None:
    """Why `job` cannot be reverted now; None if it can."""
    if not job.is_final:
        return f"Job {job.pk} has not ended."
    if job.dry_run:
        return f"Job {job.pk} was a dry run, which wrote nothing."
    if job.pruned_at:
        return f"The journal of Job {job.pk} was deleted on {job.pruned_at:%Y-%m-%d}."
    if reason := _refusal_of_another(job):
        return reason
    if not job.changes.exclude(kind="left").exists():
        return f"Job {job.pk} has changed nothing."
    return None


def _refusal_of_another(job: Job) -> str | None:
    """Why an existing revert of `job` does not allow another; None if there is no such revert."""
    former = standing_revert(job)
    if former is None or former.status in STOPPED_SHORT:
        return None
    verb = "was" if former.is_final else "is being"
    return f"Job {job.pk} {verb} reverted by Job {former.pk}."


def standing_revert(job: Job) -> Job | None:
    """The Job that reverts `job`, or has reverted it.

    None if there is none, if it was itself reverted, or if it left everything alone.
    """
    newest = Job.objects.filter(reverts=job).order_by("pk").last()
    if newest is None or is_undone(newest) or _has_undone_nothing(newest):
        return None
    return newest


def _has_undone_nothing(revert: Job) -> bool:
    if revert.status != JobState.SUCCESS or revert.pruned_at:
        return False
    return not revert.changes.exclude(kind="left").exists()


def is_undone(job: Job) -> bool:
    """Whether a revert of `job` has succeeded and was not itself reverted."""
    return job.pk in reverts_of([job.pk])


def reverts_of(job_ids: Collection[int]) -> dict[int, Job]:
    """The reverts that have succeeded and stand, by the id of the Job that they have reverted.

    One query, and one more for each level of reverts of reverts.
    """
    wrote = Exists(JobChange.objects.filter(job=OuterRef("pk")).exclude(kind=JobChange.Kind.LEFT))
    newest: QuerySet[Any] = (
        Job.objects.filter(reverts__in=job_ids)
        .order_by("reverts_id", "-pk")
        .distinct("reverts_id")
        .annotate(wrote=wrote)
        .only("reverts", "name", "status", "outcome", "pruned_at")
    )
    done = [
        revert
        for revert in newest
        if revert.status == JobState.SUCCESS and (revert.pruned_at or revert.wrote)
    ]
    undone = reverts_of([revert.pk for revert in done]) if done else {}
    return {revert.reverts_id: revert for revert in done if revert.pk not in undone}


def request_revert(job: Job, *, user: User | None = None, reason: str = "") -> Job:
    """Queue the revert of `job`, or resume a revert that failed or was canceled.

    The audit records `user` and `reason`. Raises RevertRefusedError.
    """
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if refused := refusal(job):
            raise RevertRefusedError(refused)
        if revert := standing_revert(job):
            revert.resume()
        else:
            revert = _create(job, reason, user=user, reverts=job)
        message = f"Reverted by Job {revert.pk}."
        record([job], kind=Kind.REVERT, user=user, message=message, reason=reason)
        return revert


def foretell(job: Job) -> list[Undone]:
    """What the revert of `job` would do now: it is carried out and rolled back.

    Raises RevertRefusedError, and django.db.OperationalError if a row stays locked for 2 s.
    """
    if reason := refusal(job):
        raise RevertRefusedError(reason)
    begun = standing_revert(job)
    portions = _portions_left(begun) if begun else plan_portions(job)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PATIENCE)
        undone = [
            one
            for portion in portions
            for one in undo(job, portion, by=begun.pk if begun else NOBODY)
        ]
        transaction.set_rollback(True)
    return undone


def request_foretelling(job: Job, *, user: User | None = None, reason: str = "") -> Job:
    """Queue a dry run of the revert, for a Job with too many changes for :func:`foretell`.

    Raises RevertRefusedError.
    """
    if refused := refusal(job):
        raise RevertRefusedError(refused)
    return _create(job, reason, user=user, dry_run=True)


def request_put_back(
    job: Job, occurrence: int, *, user: User | None = None, reason: str = ""
) -> Job:
    """Queue a revert of what `job` changed of one occurrence, and of those connected with it.

    It is not a revert of `job`, which can still be reverted: what was put back is then left alone,
    with this Job as the cause. Raises RevertRefusedError.
    """
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if refused := refusal(job) or _refusal_to_put_back(job, occurrence):
            raise RevertRefusedError(refused)
        new = _create(job, reason, user=user, occurrences=[occurrence])
        message = f"Occurrence {occurrence} put back by Job {new.pk}."
        record([job], kind=Kind.REVERT, user=user, message=message, reason=reason)
        return new


def _refusal_to_put_back(job: Job, occurrence: int) -> str | None:
    """Why an earlier Job that puts the occurrence back does not allow another; None if it does."""
    former = standing_put_back(job.pk, occurrence)
    if former is None or former.status in STOPPED_SHORT:
        return None
    verb = "was" if former.is_final else "is being"
    return f"Occurrence {occurrence} {verb} put back by Job {former.pk}."


def standing_put_back(job_id: int, occurrence: int) -> Job | None:
    """The Job that puts one occurrence back as it was before a run, or has done so.

    None if there is none, if it was itself reverted, or if it left everything alone.
    """
    same = {"params__job": job_id, "params__occurrences__contains": [occurrence]}
    jobs = Job.objects.filter(job_type_key=JOB_TYPE, dry_run=False, **same)
    former = jobs.order_by("pk").last()
    if former is None or is_undone(former) or _has_undone_nothing(former):
        return None
    return former


def _create(job: Job, reason: str = "", *, occurrences: Collection[int] = (), **fields: Any) -> Job:
    """Queue a revert of `job` or of its changes of some occurrences, or a dry run of its revert."""
    name = f"Revert of Job {job.pk}: {job.name}"
    params: dict[str, Any] = {"job": job.pk}
    if occurrences:
        params["occurrences"] = list(occurrences)
        name = f"Put back {', '.join(f'occurrence {pk}' for pk in occurrences)}: {job.name}"
    name = name[: Job._meta.get_field("name").max_length]
    new = Job(name=name, project=job.project, job_type_key=JOB_TYPE, params=params, **fields)
    return create_jobs([new], reason=reason)[0]


def _portions_left(revert: Job) -> list[Portion]:
    """What a revert that was stopped still has to do."""
    parts = list(revert.parts.filter(is_planned=True).order_by("number"))
    if not parts and revert.reverts:
        return plan_portions(revert.reverts)
    return [Portion(*key) for part in parts for _, key in part.batches[part.cursor :]]


class Revert(PlannedWork):
    """Undoes the changes of the Job that `job` reverts, newest first, with one portion per batch.

    If the parameters name occurrences, only the changes of these are undone. A dry run undoes all
    portions in one batch, because each builds on the result of the one before.
    """

    key = "revert"
    name = "Revert"
    counters = tuple(COUNTERS.values())
    part_batches = None  # in order, because each portion builds on the result of the one before
    skips_faults = False

    def __init__(self, job: Job) -> None:
        super().__init__()
        former = job.reverts
        self.occurrences = stored_ids(job.parameters.get("occurrences"))
        if job.dry_run or self.occurrences:
            former = Job.objects.filter(pk=stored_id(job.parameters.get("job")) or 0).first()
        if former is None:
            raise JobFailedError("The Job to revert and its journal no longer exist.")
        if not former.is_final:
            raise JobFailedError(f"Job {former.pk} has not ended; revert it after its end.")
        self.job = job
        self.former = former

    def nothing_to_do(self) -> str | None:
        if not self.occurrences or batches_of(self.former, self.occurrences):
            return None
        named = ", ".join(f"occurrence {pk}" for pk in self.occurrences)
        return f"Job {self.former.pk} has changed nothing of {named}."

    def plan(self) -> list[Planned]:
        portions = plan_portions(self.former, self.occurrences)
        if self.job.dry_run and portions:
            return [Planned(sum(portion.size for portion in portions), portions)]
        return [Planned(portion.size, portion) for portion in portions]

    def work_on(self, batch: Planned) -> None:
        for key in batch.key if self.job.dry_run else [batch.key]:
            portion = Portion(*key)
            for undone in undo(self.former, portion, by=self.job.pk, occurrences=self.occurrences):
                self.count(**{COUNTERS[undone.fate]: undone.rows})
                if undone.reason:
                    self.skip(undone.reason, rows=undone.rows, ids=undone.ids)

    def touched(self) -> QuerySet[Detection]:
        return touched_by(self.former, self.occurrences)


JOB_TYPES.register(JOB_TYPE, Revert)

"""Reverting a Job: a Job of its own that undoes what the other one's journal tells."""

from django.db import transaction
from django.db.models import QuerySet

from ami.jobs.models import Job
from ami.jobs.registry import JOB_TYPES
from ami.jobs.service import create_jobs
from ami.jobs.states import JobFailedError, JobState
from ami.jobs.undo import Portion, plan_portions, touched_by, undo
from ami.jobs.work import Planned, PlannedWork
from ami.main.models import Detection
from ami.users.models import User

JOB_TYPE = "revert"


class RevertRefusedError(Exception):
    """A Job cannot be reverted as it stands; the message says why."""


def refusal(job: Job) -> str | None:
    """Why `job` cannot be reverted now; None where it can."""
    if not job.is_final:
        return f"Job {job.pk} has not ended."
    if job.dry_run:
        return f"Job {job.pk} was a dry run; it has written nothing."
    if job.pruned_at:
        return f"The journal of Job {job.pk} was deleted on {job.pruned_at:%Y-%m-%d}, as it is old."
    if reason := _refusal_of_another(job):
        return reason
    if not job.changes.exclude(kind="left").exists():
        return f"Job {job.pk} has changed nothing."
    return None


def _refusal_of_another(job: Job) -> str | None:
    """Why the revert of `job` that there is allows no further one; None where there is none."""
    if (former := revert_of(job)) and former.status not in {JobState.FAILURE, JobState.REVOKED}:
        verb = "was" if former.is_final else "is being"
        return f"Job {job.pk} {verb} reverted by Job {former.pk}."
    if former and revert_of(former):
        return f"Job {former.pk}, which began to revert Job {job.pk}, was reverted itself."
    return None


def revert_of(job: Job) -> Job | None:
    """The Job that reverts `job`, if there is one."""
    return Job.objects.filter(reverts=job).first()


def request_revert(job: Job, *, user: User | None = None) -> Job:
    """Queue the revert of `job`, once; one that failed or was canceled goes on where it stopped.

    Raises RevertRefusedError.
    """
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job.pk)
        if reason := refusal(job):
            raise RevertRefusedError(reason)
        if former := revert_of(job):
            former.resume()
            return former
        name = f"Revert of Job {job.pk}: {job.name}"
        revert = Job(
            name=name[: Job._meta.get_field("name").max_length],
            project=job.project,
            user=user,
            job_type_key=JOB_TYPE,
            params={"job": job.pk},
            reverts=job,
        )
        return create_jobs([revert])[0]


class Revert(PlannedWork):
    """Undoes the changes of the Job that `job` reverts, the newest first, a portion a batch."""

    key = "revert"
    name = "Revert"
    counters = ("rows_put_back", "rows_removed", "rows_restored", "rows_left_alone")
    part_batches = None  # in order: a portion stands on what the one before it has put back
    skips_faults = False

    def __init__(self, job: Job) -> None:
        super().__init__()
        if job.reverts is None:
            raise JobFailedError("The Job to revert no longer exists, nor does its journal.")
        if not job.reverts.is_final:
            raise JobFailedError(f"Job {job.reverts.pk} has not ended; a revert waits for its end.")
        self.job = job
        self.former = job.reverts

    def plan(self) -> list[Planned]:
        return [Planned(portion.size, portion) for portion in plan_portions(self.former)]

    def work_on(self, batch: Planned) -> None:
        for undone in undo(self.former, Portion(*batch.key), job=self.job):
            self.count(**{f"rows_{undone.fate.replace(' ', '_')}": undone.rows})
            if undone.reason:
                self.skip(undone.reason, rows=undone.rows, ids=undone.ids)

    def touched(self) -> QuerySet[Detection]:
        return touched_by(self.former)


JOB_TYPES.register(JOB_TYPE, Revert)

"""Reverting a Job: a Job of its own that undoes what the other one's journal tells."""

from collections import Counter
from typing import cast

from django.db import transaction

from ami.jobs.batches import job_batch
from ami.jobs.models import Job
from ami.jobs.registry import JOB_TYPES
from ami.jobs.service import create_jobs
from ami.jobs.states import JobFailedError, JobState
from ami.jobs.undo import Portion, Undone, plan_portions, undo
from ami.users.models import User

JOB_TYPE = "revert"
STAGE = "Revert"
FATES = ("put back", "removed", "restored", "left alone")


class RevertRefusedError(Exception):
    """A Job cannot be reverted as it stands; the message says why."""


def refusal(job: Job) -> str | None:
    """Why `job` cannot be reverted now; None where it can."""
    if not job.is_final:
        return f"Job {job.pk} has not ended."
    if (former := revert_of(job)) and former.status not in {JobState.FAILURE, JobState.REVOKED}:
        verb = "was" if former.is_final else "is being"
        return f"Job {job.pk} {verb} reverted by Job {former.pk}."
    if former and revert_of(former):
        return f"Job {former.pk}, which began to revert Job {job.pk}, was reverted itself."
    if not job.changes.exclude(kind="left").exists():
        return f"Job {job.pk} has changed nothing."
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
            former.retry()
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


def run_revert(job: Job) -> None:
    """Undo the changes of the Job that `job` reverts, the newest first, a portion a batch."""
    former = job.reverts
    if former is None:
        raise JobFailedError("The Job to revert no longer exists, nor does its journal.")
    if not former.is_final:
        raise JobFailedError(f"Job {former.pk} has not ended; a revert waits for its end.")
    _Revert(job, former).run()


class _Revert:
    """A run of a revert; what it counted survives a retry with the cursor."""

    def __init__(self, job: Job, former: Job) -> None:
        self.job = job
        self.former = former
        cursor = cast("dict[str, object]", job.cursor or {})
        self.before = cast("int | None", cursor.get("before"))
        self.counts = Counter(cast("dict[str, int]", cursor.get("counts", {})))

    def run(self) -> None:
        portions = plan_portions(self.former, before=self.before)
        left = sum(portion.size for portion in portions)
        total = self.counts["changes"] + left
        self.job.logger.info("Changes to undo: %d, in batches: %d.", left, len(portions))
        self._report(total)
        for portion in portions:
            with job_batch(self.job):
                self._undo(portion)
                self._report(total)
        for reason, rows in self.counts.items():
            if reason.startswith("Left alone: "):
                self.job.logger.warning("%s (%d).", reason, rows)

    def _undo(self, portion: Portion) -> None:
        counts = self.counts + Counter({"changes": portion.size})
        for undone in undo(self.former, portion, job=self.job):
            counts.update(_figures(undone))
        cursor = {"before": portion.resume, "counts": counts}
        Job.objects.filter(pk=self.job.pk).update(cursor=cursor)
        self.counts = counts

    def _report(self, total: int) -> None:
        progress = self.job.progress
        stage = progress.add_stage(STAGE)
        for fate in FATES:
            name = f"Rows {fate}"
            progress.add_or_update_stage_param(stage, name, self.counts[name])
        for reason, rows in self.counts.items():
            if reason.startswith("Left alone: "):
                progress.add_or_update_stage_param(stage, reason, rows)
        stage.progress = self.counts["changes"] / total if total else 1.0
        self.job.checkpoint()


def _figures(undone: Undone) -> dict[str, int]:
    figures = {f"Rows {undone.fate}": undone.rows}
    if undone.reason:
        figures[f"Left alone: {undone.reason}"] = undone.rows
    return figures


JOB_TYPES.register(JOB_TYPE, run_revert)

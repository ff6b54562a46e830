"""What every dry run has in common when a new Job applies it, whatever its type."""

from ami.jobs.journal.revert import is_undone
from ami.jobs.models import Job
from ami.jobs.states import JobState, Outcome


def refusal(job: Job) -> str | None:
    """Why `job` cannot be applied; None if it is a dry run to apply, or a run that was reverted."""
    if job.pruned_at:
        date = f"{job.pruned_at:%Y-%m-%d}"
        return f"The journal of Job {job.pk} was deleted on {date}; run the Job again."
    if job.dry_run and job.status != JobState.SUCCESS:
        return f"Job {job.pk} has not succeeded; only a dry run that succeeded can be applied."
    if job.outcome == Outcome.NOTHING:
        return f"Job {job.pk} found nothing to do; there is nothing to apply."
    if not job.dry_run and not is_undone(job):
        return f"Job {job.pk} is not a dry run and was not reverted; there is nothing to apply."
    return None


def standing(job: Job) -> Job | None:
    """The Job that applies this one, if it runs or its changes stand."""
    ended = (JobState.FAILURE, JobState.REVOKED)
    newest = job.applied_by.exclude(status__in=ended).order_by("pk").last()
    return newest if newest and not is_undone(newest) else None


def launch_key(job: Job) -> str:
    """The same key for two requests to apply `job` at the same time, of which one is refused.

    Read it before :func:`standing`: a Job that applies `job` meanwhile is either seen there or has
    the same key.
    """
    return f"again-{job.pk}-{job.applied_by.count()}"

"""Jobs that a command runs in its own process, from the first part to the last."""

from ami.jobs import transitions
from ami.jobs.engine.faults import drop_dead_connection
from ami.jobs.engine.registry import WorkFactory
from ami.jobs.engine.runner import run
from ami.jobs.models import Job
from ami.jobs.states import JobState, Outcome


def run_now(job: Job, make: WorkFactory) -> None:
    """Run a saved Job with the work that `make` makes; `job` is refreshed at the end.

    A Job that has to wait for another is queued, see :func:`must_wait`. If this process is
    interrupted, the Job is canceled.
    """
    try:
        run(job.pk, make=make)
    except BaseException as error:
        drop_dead_connection()
        held = Job.objects.get(pk=job.pk)
        if isinstance(error, Exception):
            transitions.end(held, Outcome.CRASHED, error=f"{type(error).__name__}: {error}")
        else:
            transitions.end(held, Outcome.CANCELED)
        raise
    job.refresh_from_db()


def must_wait(job: Job) -> bool:
    """Whether :func:`run_now` has queued the Job to run after another Job has ended."""
    return job.status == JobState.PENDING


def cancel_waiting(job: Job) -> str:
    """Cancel a Job that must wait; returns a sentence for which Job."""
    blocker = job.waits_for
    told = f"Job {blocker.pk} ({blocker})" if blocker else "the other Job"
    job.cancel()
    return f"Wait for {told}, which may write the same occurrences."

"""The states of a Job, and the errors that end a run."""

from django.db import models


class JobState(models.TextChoices):
    """The status of a Job: Celery's states, with CREATED, PAUSED and CANCELING added."""

    CREATED = "CREATED", "Created"
    PENDING = "PENDING", "Queued"
    RECEIVED = "RECEIVED", "Received"
    STARTED = "STARTED", "Running"
    RETRY = "RETRY", "Waiting to be retried"
    PAUSED = "PAUSED", "Paused"
    CANCELING = "CANCELING", "Canceling"
    SUCCESS = "SUCCESS", "Succeeded"
    FAILURE = "FAILURE", "Failed"
    REVOKED = "REVOKED", "Canceled"
    UNKNOWN = "UNKNOWN", "Unknown"


WAITING = frozenset({JobState.CREATED, JobState.PENDING, JobState.RECEIVED, JobState.RETRY})
RUNNING = frozenset({JobState.STARTED, JobState.PAUSED, JobState.CANCELING})
STOPPED_SHORT = frozenset({JobState.FAILURE, JobState.REVOKED})
FINAL = STOPPED_SHORT | {JobState.SUCCESS}


class JobDispatchMode(models.TextChoices):
    """Where the work of a Job is done: in the worker itself, or by a service that it calls.

    All Jobs of this project are internal; the platform uses the other modes.
    """

    INTERNAL = "internal", "Internal"
    SYNC_API = "sync_api", "Synchronous API"
    ASYNC_API = "async_api", "Asynchronous API"


class Outcome(models.TextChoices):
    """How a Job ended."""

    SUCCEEDED = "succeeded", "Succeeded"
    NOTHING = "nothing", "Nothing to do"
    PROBLEMS = "problems", "Succeeded with problems"
    FAILED = "failed", "Failed"
    CRASHED = "crashed", "Crashed"
    CANCELED = "canceled", "Canceled"


STATUS_OF = {
    Outcome.SUCCEEDED: JobState.SUCCESS,
    Outcome.NOTHING: JobState.SUCCESS,
    Outcome.PROBLEMS: JobState.SUCCESS,
    Outcome.FAILED: JobState.FAILURE,
    Outcome.CRASHED: JobState.FAILURE,
    Outcome.CANCELED: JobState.REVOKED,
}


class PartState(models.TextChoices):
    """The state of a part of a Job."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


ATTEMPTS = 3  # the most claims of a Job or a part without progress


class JobFailedError(Exception):
    """An expected failure; its message is the sentence that the Job's page shows."""


class JobStoppedError(Exception):
    """The Job was paused, canceled or ended. Raised between two batches."""


class JobCanceledError(JobStoppedError):
    """The Job was canceled."""


class StillRunsError(Exception):
    """The message of a run was delivered again while its worker still runs it."""


class ClaimLostError(Exception):
    """Another worker now holds the Job or its part; this worker must not write for it."""

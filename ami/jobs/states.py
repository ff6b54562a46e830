"""The states of a Job, and the errors that end a run."""

from django.db import models


class JobState(models.TextChoices):
    """Where a Job stands. The values are Celery's, with CREATED, PAUSED and CANCELING added."""

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
    """Where the work of a Job is done: by the worker itself, or by a service that it calls.

    All Jobs of this project are internal; the others are those of the platform.
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


class PartState(models.TextChoices):
    """Where a part of a Job stands."""

    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


ATTEMPTS = 3  # claims of a Job or a part that may come to nothing


class JobFailedError(Exception):
    """An expected failure; its message is the sentence that the Job's page shows."""


class JobStoppedError(Exception):
    """The Job is not to go on now: it was paused, canceled or ended. Raised between two batches."""


class JobCanceledError(JobStoppedError):
    """Somebody canceled the Job."""


class StillRunsError(Exception):
    """The message of a run came again while its worker still works on it."""


class ClaimLostError(Exception):
    """Another worker holds the Job, or its part, now; this one must not write for it."""

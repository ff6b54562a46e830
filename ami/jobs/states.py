"""The states of a Job, and the errors that end a run."""

from django.db import models


class JobState(models.TextChoices):
    """Where a Job stands. The values are Celery's, with CREATED and CANCELING added."""

    CREATED = "CREATED", "Created"
    PENDING = "PENDING", "Queued"
    RECEIVED = "RECEIVED", "Received"
    STARTED = "STARTED", "Running"
    RETRY = "RETRY", "Waiting to be retried"
    CANCELING = "CANCELING", "Canceling"
    SUCCESS = "SUCCESS", "Succeeded"
    FAILURE = "FAILURE", "Failed"
    REVOKED = "REVOKED", "Canceled"
    UNKNOWN = "UNKNOWN", "Unknown"


WAITING = frozenset({JobState.CREATED, JobState.PENDING, JobState.RECEIVED, JobState.RETRY})
RUNNING = frozenset({JobState.STARTED, JobState.CANCELING})
FINAL = frozenset({JobState.SUCCESS, JobState.FAILURE, JobState.REVOKED})


class JobFailedError(Exception):
    """An expected failure; its message is the sentence that the Job's page shows."""


class JobCanceledError(Exception):
    """Somebody canceled the Job; raised between two batches."""


class ClaimLostError(Exception):
    """Another worker holds the Job now; this one must not write for it."""

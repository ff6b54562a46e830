"""The states of a Job, and the errors that end one."""

from django.db import models


class JobState(models.TextChoices):
    """Where a Job stands. The names are Celery's, with CREATED and CANCELING added."""

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


QUEUED = frozenset({JobState.PENDING, JobState.RECEIVED, JobState.RETRY})
FINAL = frozenset({JobState.SUCCESS, JobState.FAILURE, JobState.REVOKED})


class JobFailed(Exception):
    """An expected failure; its message is the sentence that the Job's page shows."""


class JobCanceled(Exception):
    """Somebody canceled the Job; raised between two batches."""


class ClaimLost(Exception):
    """Another worker holds the Job now; this one must not write for it."""

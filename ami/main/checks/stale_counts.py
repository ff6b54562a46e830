"""Cached counts that differ from the actual number of rows."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main import counts
from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.scopes import in_scope
from ami.main.models import Deployment, Event, SourceImage


def get_captures_with_stale_counts(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
) -> QuerySet[SourceImage]:
    """Captures with a wrong count of detections."""
    rows = SourceImage.objects.exclude(**counts.counted(counts.CAPTURES))
    return in_scope(rows, project_id, job_id, capture_ids)


def get_events_with_stale_counts(
    project_id: int | None = None,
    job_id: int | None = None,
    event_ids: Iterable[int] | None = None,
) -> QuerySet[Event]:
    """Nights with a wrong count of captures, detections or occurrences."""
    return in_scope(
        Event.objects.exclude(**counts.counted(counts.EVENTS)), project_id, job_id, event_ids
    )


def get_deployments_with_stale_counts(
    project_id: int | None = None,
    job_id: int | None = None,
    deployment_ids: Iterable[int] | None = None,
) -> QuerySet[Deployment]:
    """Deployments with a wrong count of nights, captures, detections or occurrences."""
    rows = Deployment.objects.exclude(**counts.counted(counts.DEPLOYMENTS))
    return in_scope(rows, project_id, job_id, deployment_ids)


CAPTURES = Pair(
    get_captures_with_stale_counts,
    counts.update_capture_counts,
    one_pass=OnePass(counts.FAULTS, "capture"),
)
EVENTS = Pair(
    get_events_with_stale_counts,
    counts.update_event_counts,
    one_pass=OnePass(counts.FAULTS, "event"),
)
DEPLOYMENTS = Pair(
    get_deployments_with_stale_counts,
    counts.update_deployment_counts,
    one_pass=OnePass(counts.FAULTS, "deployment"),
)
reconcile_capture_counts = reconciler("reconcile_capture_counts", CAPTURES)
reconcile_event_counts = reconciler("reconcile_event_counts", EVENTS)
reconcile_deployment_counts = reconciler("reconcile_deployment_counts", DEPLOYMENTS)

register(
    Check(
        key="stale_counts",
        title="Stale counts",
        severity=Severity.WARNING,
        tag=Tag.COUNTS,
        pairs=(
            CAPTURES,
            EVENTS,
            DEPLOYMENTS,
        ),
        meaning=(
            "A cached count of a capture, a night or a deployment differs from the actual number "
            "of its nights, captures, detections or occurrences."
        ),
        cause=(
            "Rows were changed while the triggers that keep the counts were disabled, or a cached "
            "count was edited in SQL."
        ),
        repair="Counts the rows of these captures, nights and deployments again.",
        limits="Each capture, night and deployment is checked and repaired on its own.",
    )
)

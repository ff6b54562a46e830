"""Cached counts that differ from the actual number of rows."""

from collections.abc import Iterable

from django.db.models import QuerySet

from ami.main import counts
from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, register
from ami.main.checks.repair import RepairContext, reconcile
from ami.main.checks.schemas import IntegrityCheckResult
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


def reconcile_capture_counts(
    project_id: int | None = None,
    job_id: int | None = None,
    capture_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Count the rows again."""
    rows = get_captures_with_stale_counts(project_id, job_id, capture_ids)
    fix = counts.update_capture_counts
    return reconcile(rows, fix, dry_run=dry_run, context=context)


def reconcile_event_counts(
    project_id: int | None = None,
    job_id: int | None = None,
    event_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Count the rows again."""
    rows = get_events_with_stale_counts(project_id, job_id, event_ids)
    fix = counts.update_event_counts
    return reconcile(rows, fix, dry_run=dry_run, context=context)


def reconcile_deployment_counts(
    project_id: int | None = None,
    job_id: int | None = None,
    deployment_ids: Iterable[int] | None = None,
    dry_run: bool = True,
    *,
    context: RepairContext | None = None,
) -> IntegrityCheckResult:
    """Count the rows again."""
    rows = get_deployments_with_stale_counts(project_id, job_id, deployment_ids)
    fix = counts.update_deployment_counts
    return reconcile(rows, fix, dry_run=dry_run, context=context)


register(
    Check(
        key="stale_counts",
        title="Stale counts",
        severity=Severity.WARNING,
        tag=Tag.COUNTS,
        pairs=(
            Pair(
                get_captures_with_stale_counts,
                reconcile_capture_counts,
                OnePass(counts.FAULTS, "capture"),
            ),
            Pair(
                get_events_with_stale_counts,
                reconcile_event_counts,
                OnePass(counts.FAULTS, "event"),
            ),
            Pair(
                get_deployments_with_stale_counts,
                reconcile_deployment_counts,
                OnePass(counts.FAULTS, "deployment"),
            ),
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

"""Occurrences that cannot be one individual."""

from collections.abc import Iterable

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, F, Max, Min, Q, QuerySet

from ami.main.checks.declarations import Check, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import InArray
from ami.main.checks.scopes import in_scope
from ami.main.models import Detection, Occurrence


def get_split_occurrences(
    project_id: int | None = None,
    job_id: int | None = None,
    occurrence_ids: Iterable[int] | None = None,
) -> QuerySet[Occurrence]:
    """Occurrences with detections in several nights or projects, or two on one capture."""
    # Most occurrences have one detection, and an index counts them without reading the rows.
    detected = Detection.objects.filter(occurrence__isnull=False).values("occurrence")
    several = detected.alias(seen=Count("*")).filter(seen__gt=1)
    torn = (
        detected.filter(InArray("occurrence", ArraySubquery(several)))
        .annotate(
            seen=Count("pk"),
            captures=Count("source_image", distinct=True),
            first_event=Min("source_image__event"),
            last_event=Max("source_image__event"),
            first_project=Min("source_image__project"),
            last_project=Max("source_image__project"),
        )
        .filter(
            Q(captures__lt=F("seen"))
            | Q(first_event__lt=F("last_event"))
            | Q(first_project__lt=F("last_project"))
        )
    )
    rows = Occurrence.objects.filter(pk__in=torn.values("occurrence"))
    return in_scope(rows, project_id, job_id, occurrence_ids)


PAIR = Pair(get_split_occurrences)
reconcile_split_occurrences = reconciler("reconcile_split_occurrences", PAIR)

register(
    Check(
        key="split_occurrence",
        title="Occurrence that cannot be one individual",
        severity=Severity.ERROR,
        tag=Tag.OCCURRENCES,
        pairs=(PAIR,),
        meaning=(
            "The occurrence has detections in several nights or several projects, or two "
            "detections on one capture."
        ),
        cause=(
            "Tracks were joined by mistake, or captures were moved to another night or project."
        ),
        repair=None,
        limits="Captures without a night or without a project are ignored.",
    )
)

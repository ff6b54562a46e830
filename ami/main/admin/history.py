"""The crops and predictions on the pages of occurrences and detections."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.text import Truncator

from ami.base.links import EMPTY, change_link, list_url
from ami.jobs.models import Job
from ami.main.models import Classification, Detection, Identification, Taxon
from ami.main.pictures import MEDIUM, crop_url
from ami.ml.models import Algorithm

CROPS = 24
PREDICTIONS = 50
IDENTIFICATIONS = 50


class DetailsMixin(admin.ModelAdmin[Any]):
    """Shows details below the form on the page of a row.

    A subclass overrides `get_details`, which returns the context of the template.
    """

    def get_details(self, obj: Any) -> dict[str, Any]:
        return {}

    def render_change_form(  # type: ignore[override]
        self, request: HttpRequest, context: dict[str, Any], **options: Any
    ) -> HttpResponse:
        obj = options.get("obj")
        if obj is not None:
            context |= self.get_details(obj)
        return super().render_change_form(request, context, **options)


def format_box(bbox: list[float] | None) -> str:
    """Format a box as "100, 100 to 200, 200"; other values are shown unchanged."""
    if not bbox:
        return "no box"
    if len(bbox) != 4 or None in bbox:
        return ", ".join(str(number) for number in bbox)
    x1, y1, x2, y2 = (f"{number:g}" for number in bbox)
    return f"{x1}, {y1} to {x2}, {y2}"


def format_score(score: float | None) -> str:
    return EMPTY if score is None else f"{score:.3f}"


def crops(detections: QuerySet[Detection], **filters: Any) -> dict[str, Any]:
    """Return the first crops; `filters` are for the link to all of them."""
    rows = list(
        detections.select_related("source_image")
        .only("occurrence_id", "path", "bbox", "detection_score", "source_image__timestamp")
        .order_by("source_image__timestamp", "pk")[:CROPS]
    )
    return {
        "rows": [
            {
                "url": crop_url(detection.pk, MEDIUM),
                "link": change_link(Detection, detection.pk),
                "taken": detection.source_image.timestamp,
                "box": format_box(detection.bbox),
            }
            for detection in rows
        ],
        **_rest(detections, rows=len(rows), limit=CROPS),
        "all_url": list_url(Detection, **filters),
    }


def predictions(classifications: QuerySet[Classification], **filters: Any) -> dict[str, Any]:
    """Return the latest predictions, newest first; `filters` are for the link to all of them."""
    rows = list(
        classifications.select_related("taxon", "algorithm", "job")
        .only(
            "detection_id",
            "applied_to_id",
            "score",
            "terminal",
            "timestamp",
            "metadata",
            "taxon__name",
            "algorithm__name",
            "algorithm__version",
            "job__name",
        )
        .order_by("-timestamp", "-pk")[:PREDICTIONS]
    )
    return {
        "rows": [_prediction(row) for row in rows],
        **_rest(classifications, rows=len(rows), limit=PREDICTIONS),
        "all_url": list_url(Classification, **filters),
    }


def _prediction(row: Classification) -> dict[str, Any]:
    return {
        "link": change_link(Classification, row.pk, row.pk),
        "taxon": change_link(Taxon, row.taxon_id, row.taxon),
        "score": format_score(row.score),
        "algorithm": change_link(Algorithm, row.algorithm_id, row.algorithm),
        "terminal": row.terminal,
        "applied_to": row.applied_to_id
        and change_link(Classification, row.applied_to_id, row.applied_to_id),
        "detection": change_link(Detection, row.detection_id, row.detection_id),
        "timestamp": row.timestamp,
        "run": row.job
        and change_link(Job, row.job_id, f"Job {row.job_id}: {Truncator(row.job.name).chars(60)}"),
        "metadata": describe(row.metadata),
    }


def identifications(rows: QuerySet[Identification], **filters: Any) -> dict[str, Any]:
    """Return the latest identifications, newest first; `filters` are for the link to all."""
    latest = list(
        rows.select_related("taxon", "user")
        .only(
            "occurrence_id",
            "withdrawn",
            "comment",
            "created_at",
            "taxon__name",
            "user__email",
            "user__name",
        )
        .order_by("-created_at", "-pk")[:IDENTIFICATIONS]
    )
    return {
        "rows": [
            {
                "link": change_link(Identification, row.pk, row.pk),
                "taxon": change_link(Taxon, row.taxon_id, row.taxon),
                "user": row.user or "a former user",
                "withdrawn": row.withdrawn,
                "comment": row.comment,
                "timestamp": row.created_at,
            }
            for row in latest
        ],
        **_rest(rows, rows=len(latest), limit=IDENTIFICATIONS),
        "all_url": list_url(Identification, **filters),
    }


def _rest(queryset: QuerySet[Any], *, rows: int, limit: int) -> dict[str, int]:
    """Return the number of rows, and the number that the page does not show."""
    total = queryset.order_by().count() if rows == limit else rows
    return {"total": total, "more": total - rows}


def describe(metadata: Any) -> list[tuple[str, str]]:
    """Return the entries of a run's metadata, each shortened for a table."""
    if not isinstance(metadata, dict):
        return [("", _short(metadata))] if metadata else []
    return [(key.replace("_", " "), _short(value)) for key, value in metadata.items()]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    return Truncator(text).chars(120)

"""What the pages of rows show besides the form: crops, identifications, boxes, scores, and Jobs."""

from typing import Any

from django.contrib import admin
from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from ami.base.audit import AuditedAdminMixin
from ami.base.links import EMPTY, change_link, list_url
from ami.jobs.admin.change import changes_of
from ami.jobs.admin.pages import badges
from ami.jobs.journal.triggers import JOURNALED
from ami.jobs.models import Job, JobChange
from ami.main.models import Detection, Identification, Taxon
from ami.main.pictures import MEDIUM, SMALL, crop_url
from ami.ml.post_processing.scopes import SCOPES

CROPS = 24
THUMBNAIL = '<img class="thumbnail" src="{}" alt="" width="48" height="48" loading="lazy">'
IDENTIFICATIONS = 50
CHANGES = 50
RUNS = 50


class JobsHistoryMixin(AuditedAdminMixin):
    """Shows in the history of a row what Jobs changed of it, and which Jobs ran on it."""

    def get_history(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        is_journaled = self.opts.label in JOURNALED
        changes = changes_of(obj, request.user, limit=CHANGES) if is_journaled else []
        return {
            **super().get_history(request, obj),
            "media": self.media + Media(css={"all": ["jobs/job.css"]}),
            "changes": changes,
            "changes_url": len(changes) == CHANGES
            and list_url(JobChange, object_id__exact=obj.pk, table=self.opts.label_lower),
            "runs": _runs_on(obj, request.user),
        }


def _runs_on(row: Any, user: Any) -> list[dict[str, Any]]:
    """The latest Jobs of the project whose scope is the row."""
    scope = next((scope for scope in SCOPES if isinstance(row, scope.model)), None)
    if scope is None:
        return []
    jobs = Job.objects.for_user(user).filter(scope.jobs_on([row.pk]), project=row.project_id)
    jobs = jobs.select_related("user").order_by("-pk")[:RUNS]
    return [
        {
            "time": job.created_at,
            "user": job.user,
            "job": change_link(Job, job.pk, f"Job {job.pk}: {job.name}"),
            "state": badges(job),
        }
        for job in jobs
    ]


class DetailsMixin(admin.ModelAdmin[Any]):
    """Shows details above the form on the page of a row.

    A subclass overrides `get_details`, which returns the context of the template.
    """

    class Media:
        css = {"all": ["main/details.css"]}

    def get_details(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {}

    def render_change_form(  # type: ignore[override]
        self, request: HttpRequest, context: dict[str, Any], **options: Any
    ) -> HttpResponse:
        obj = options.get("obj")
        if obj is not None:
            context |= self.get_details(request, obj)
        return super().render_change_form(request, context, **options)


def first_detection(occurrence: str) -> Subquery:
    """Annotate the first detection of an occurrence, by id."""
    detections = Detection.objects.filter(occurrence=OuterRef(occurrence)).order_by()
    first = Func(F("pk"), function="MIN", output_field=IntegerField())
    return Subquery(detections.annotate(first=first).values("first"))


class CropColumnMixin(admin.ModelAdmin[Any]):
    """Adds the column `crop` to a list."""

    def crop_of(self, obj: Any) -> int | None:
        """Return the id of the detection whose crop the row shows, by default `first_pk`."""
        first: int | None = getattr(obj, "first_pk", None)
        return first

    @admin.display(description="crop")
    def crop(self, obj: Any) -> str:
        pk = self.crop_of(obj)
        return EMPTY if pk is None else format_html(THUMBNAIL, crop_url(pk, SMALL))


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


def crops(
    detections: QuerySet[Detection], *, best: int | None = None, **filters: Any
) -> dict[str, Any]:
    """Return the first crops in the order of time, and that of the best detection.

    `filters` are for the link to all of them.
    """
    found = (
        detections.select_related("source_image")
        .only("occurrence_id", "path", "bbox", "source_image__timestamp")
        .order_by("source_image__timestamp", "pk")
    )
    rows = list(found[:CROPS])
    if best is not None and best not in {row.pk for row in rows}:
        rows += found.filter(pk=best)
    return {
        "rows": [
            {
                "pk": detection.pk,
                "is_best": detection.pk == best,
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


def identifications(rows: QuerySet[Identification], *, user: Any, **filters: Any) -> dict[str, Any]:
    """Return the latest identifications, newest first, and which of them are the person's own.

    `filters` are for the link to all.
    """
    latest = list(
        rows.select_related("taxon", "user")
        .only(
            "occurrence_id",
            "withdrawn",
            "comment",
            "created_at",
            "agreed_with_identification_id",
            "agreed_with_prediction_id",
            "blind",
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
                "pk": row.pk,
                "own": row.user_id is not None and row.user_id == user.pk,
                "withdrawn": row.withdrawn,
                "how": row.how,
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
    total = queryset.order_by().count() if rows >= limit else rows
    return {"total": total, "more": total - rows}

"""The pictures of an individual that a person judges."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, F, Q, Window
from django.db.models.functions import RowNumber

from ami.main.admin.frames import turned
from ami.main.boxes import BoundingBox
from ami.main.models import Classification, Detection, SourceImage
from ami.main.pictures import LARGE, SMALL, View, crop_url, frame_url, view_of

FRAMES = 12


class Small(NamedTuple):
    """A small crop of another frame, with the time of its capture."""

    url: str
    large_url: str
    taken: datetime | None


class Look(NamedTuple):
    """The pictures of one occurrence: its best crop, the others, and the whole frame with its box.

    There is no view if the size of the frame is not known, or no box if it cannot be drawn.
    """

    url: str
    taken: datetime | None
    others: list[Small]
    more: int
    frame_url: str
    view: View | None
    box: BoundingBox | None


def best_detections(occurrences: Collection[int]) -> dict[int, int]:
    """Return, by occurrence, the detection of the best classification, in one query."""
    rows = Classification.objects.filter(detection__occurrence__in=occurrences).best_first()
    rows = rows.order_by("detection__occurrence", *rows.query.order_by)
    one = rows.distinct("detection__occurrence")
    return dict(one.values_list("detection__occurrence", "detection"))


def looks_of(
    occurrences: Collection[int], *, ahead: Collection[int] = ()
) -> tuple[dict[int, Look], list[str]]:
    """Return the pictures by occurrence, and the addresses of the best crops of those `ahead`.

    Executes two queries at most. Occurrences without a detection are missing.
    """
    if not (occurrences or ahead):
        return {}, []
    best = best_detections([*occurrences, *ahead])
    urls = [crop_url(best[pk], LARGE) for pk in ahead if pk in best]
    return _looks(occurrences, best) if occurrences else {}, urls


def _looks(occurrences: Collection[int], best: Mapping[int, int]) -> dict[int, Look]:
    own: dict[str, Any] = {"partition_by": F("occurrence")}
    by_time = [F("source_image__timestamp").asc(nulls_last=True), F("pk").asc()]
    number = Window(RowNumber(), order_by=by_time, **own)
    rows: Iterable[Any] = (
        Detection.objects.filter(occurrence__in=occurrences)
        .annotate(number=number, total=Window(Count("pk"), **own))
        .filter(Q(number__lte=FRAMES) | Q(pk__in=[best[pk] for pk in occurrences if pk in best]))
        .select_related("source_image__deployment")
        .only(
            "bbox",
            "occurrence_id",
            "source_image__path",
            "source_image__timestamp",
            "source_image__width",
            "source_image__height",
            "source_image__deployment__storage",
        )
        .order_by("occurrence", "number")
    )
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.occurrence_id, []).append(row)
    return {pk: _look(shown, best.get(pk)) for pk, shown in found.items()}


def _look(shown: list[Any], best: int | None) -> Look:
    main = next((row for row in shown if row.pk == best), shown[0])
    capture: SourceImage = main.source_image
    view, box = view_of(capture), main.get_bbox()
    others = [
        Small(crop_url(row.pk, SMALL), crop_url(row.pk, LARGE), row.source_image.timestamp)
        for row in shown
        if row is not main
    ]
    return Look(
        url=crop_url(main.pk, LARGE),
        taken=capture.timestamp,
        others=others,
        more=main.total - 1 - len(others),
        frame_url=frame_url(capture.pk, LARGE),
        view=view,
        box=turned(box, view) if box else None,
    )

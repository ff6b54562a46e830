"""The captures of a night as a strip, and its individuals as bars over time."""

from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, ExpressionWrapper, F, Max, Min, fields

from ami.base.links import change_link, change_url
from ami.main.models import Detection, Event, Occurrence, SourceImage
from ami.main.pictures import MEDIUM, frame_url

CAPTURES = 60
TRACKS = 40
WIDTH = 1000  # of the drawing of a bar
THINNEST = 6


class Thumbnail(NamedTuple):
    capture: SourceImage

    @property
    def page(self) -> str:
        return change_url(SourceImage, self.capture.pk)

    @property
    def url(self) -> str:
        return frame_url(self.capture.pk, MEDIUM)


class Strip(NamedTuple):
    """Captures of a night in the order of time: all of them, or every `step`-th."""

    thumbnails: list[Thumbnail]
    step: int
    total: int


class Track(NamedTuple):
    """An individual, from its first to its last capture of the night."""

    occurrence_id: int
    taxon: str | None
    first: datetime
    last: datetime
    captures: int
    x: int
    width: int

    @property
    def link(self) -> str:
        return change_link(Occurrence, self.occurrence_id)

    @property
    def is_short(self) -> bool:
        return self.first == self.last


def strip_of(event: Event) -> Strip:
    """Read at most `CAPTURES` captures of the night, evenly chosen, in two queries."""
    night = SourceImage.objects.filter(event=event).order_by(
        F("timestamp").asc(nulls_last=True), "pk"
    )
    ids = list(night.values_list("pk", flat=True))
    step = -(-len(ids) // CAPTURES) or 1
    rows = night.filter(pk__in=ids[::step]).only("path", "timestamp", "detections_count")
    return Strip([Thumbnail(row) for row in rows], step, len(ids))


def tracks_of(event: Event) -> list[Track]:
    """Read the individuals that stayed longest, at most `TRACKS`; sort them by their first time."""
    seen = Detection.objects.filter(
        source_image__event=event, occurrence__isnull=False, source_image__timestamp__isnull=False
    )
    time = "source_image__timestamp"
    stay = ExpressionWrapper(F("last") - F("first"), output_field=fields.DurationField())
    rows: list[dict[str, Any]] = list(
        seen.order_by()
        .values("occurrence_id", "occurrence__determination__name")
        .annotate(first=Min(time), last=Max(time), captures=Count("source_image", distinct=True))
        .order_by(stay.desc(), "-captures", "occurrence_id")[:TRACKS]
    )
    if not rows:
        return []
    start = min(row["first"] for row in rows)
    span = (max(row["last"] for row in rows) - start).total_seconds() or 1

    def place(at: datetime) -> int:
        seconds: float = (at - start).total_seconds()
        return round((WIDTH - THINNEST) * seconds / span)

    tracks = [
        Track(
            row["occurrence_id"],
            row["occurrence__determination__name"],
            row["first"],
            row["last"],
            row["captures"],
            place(row["first"]),
            place(row["last"]) - place(row["first"]) + THINNEST,
        )
        for row in rows
    ]
    return sorted(tracks, key=lambda track: (track.first, track.occurrence_id))

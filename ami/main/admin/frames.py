"""Captures with the boxes of their detections."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from ami.base.links import change_link, change_url
from ami.main.admin.neighbours import Neighbours
from ami.main.boxes import BoundingBox
from ami.main.models import Detection, Identification, Occurrence, SourceImage
from ami.main.pictures import LARGE, View, frame_url, view_of

BOXES = 500
TONES = 8  # colours that taxa have of their own; all others share one
STATES = ("identified", "named", "not identifiable", "without a name", "without an occurrence")
BY_STATE = "state"


class Box(NamedTuple):
    """A box on its capture, with its number, its colour and what it links to."""

    pk: int
    number: int
    box: BoundingBox
    tone: int
    group: str

    @property
    def url(self) -> str:
        return change_url(Detection, self.pk)


class Group(NamedTuple):
    """Boxes of one colour: an entry of the legend."""

    name: str
    tone: int
    number: int


class Frame(NamedTuple):
    """A capture with boxes.

    There is no view if its size is not known. `undrawn` are the detections without a box that can
    be drawn.
    """

    capture: SourceImage
    view: View | None
    boxes: list[Box]
    legend: list[Group]
    undrawn: list[str]
    more: bool

    @property
    def url(self) -> str:
        return frame_url(self.capture.pk)

    @property
    def large_url(self) -> str:
        return frame_url(self.capture.pk, LARGE)

    @property
    def text_size(self) -> int:
        return max(self.view.height // 36, 1) if self.view else 1


def frame_of(
    capture: SourceImage, detections: QuerySet[Detection], *, colour: str = "taxon"
) -> Frame:
    """Return the capture with the boxes of its `detections`, in one query.

    They are coloured by taxon, the most frequent first, or by state.
    """
    valid = Identification.objects.filter(
        occurrence=OuterRef("occurrence"), withdrawn=False, taxon__isnull=False
    )
    found = list(
        detections.select_related("occurrence__determination")
        .only(
            "bbox",
            "source_image_id",
            "occurrence__determination__name",
            "occurrence__determination__identifiable",
        )
        .annotate(is_identified=Exists(valid))
        .order_by("pk")[: BOXES + 1]
    )
    shown = found[:BOXES]
    named: Callable[[Any], str] = _state if colour == BY_STATE else _taxon
    counts = Counter(map(named, shown))
    names = STATES if colour == BY_STATE else [name for name, _ in counts.most_common()]
    tones = {name: min(tone, TONES) for tone, name in enumerate(names)}
    view = view_of(capture)
    boxes, undrawn = [], []
    for number, detection in enumerate(shown, start=1):
        box = detection.get_bbox()
        if box is None:
            undrawn.append(change_link(Detection, detection.pk))
        else:
            name = named(detection)
            boxes.append(Box(detection.pk, number, turned(box, view), tones[name], name))
    legend = [Group(name, tones[name], counts[name]) for name in names if counts[name]]
    return Frame(capture, view, boxes, legend, undrawn, more=len(found) > BOXES)


def turned(box: BoundingBox, view: View | None) -> BoundingBox:
    """Return the box on the capture as it is shown: upright, even if the file is not."""
    if view is None or not view.transform:
        return box
    a, b, c, d, e, f = map(float, view.transform.removeprefix("matrix(")[:-1].split())
    x1, x2 = sorted(a * x + c * y + e for x, y in ((box.x1, box.y1), (box.x2, box.y2)))
    y1, y2 = sorted(b * x + d * y + f for x, y in ((box.x1, box.y1), (box.x2, box.y2)))
    return BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2)


def _taxon(detection: Detection) -> str:
    occurrence: Any = detection.occurrence
    return str(occurrence.determination) if occurrence and occurrence.determination else "no name"


def _state(detection: Any) -> str:
    occurrence: Occurrence | None = detection.occurrence
    if occurrence is None:
        return "without an occurrence"
    if occurrence.determination is None:
        return "without a name"
    if detection.is_identified:
        return "identified"
    return "named" if occurrence.determination.identifiable else "not identifiable"


def captures_beside(capture: SourceImage) -> Neighbours:
    """Return the previous and the next capture of the same night."""
    if capture.event_id is None or capture.timestamp is None:
        return Neighbours()
    night = SourceImage.objects.filter(event=capture.event_id)
    at = capture.timestamp
    before = night.filter(Q(timestamp__lt=at) | Q(timestamp=at, pk__lt=capture.pk))
    after = night.filter(Q(timestamp__gt=at) | Q(timestamp=at, pk__gt=capture.pk))
    return Neighbours(
        _first(before.order_by("-timestamp", "-pk")), _first(after.order_by("timestamp", "pk"))
    )


def _first(captures: QuerySet[SourceImage]) -> str:
    pk = captures.values_list("pk", flat=True).first()
    return "" if pk is None else change_url(SourceImage, pk)

"""The share of its frame that a box covers, and its place among those of other detections."""

from typing import NamedTuple

from django.db import connection

from ami.base.links import change_link
from ami.main.models import Detection, Event, SourceImageCollection
from ami.ml.post_processing.boxes import BOX_FAULTS, SIZED

CAPTURES = 1_000
FIRST, LAST = -6, 0  # powers of ten
A_DECADE = 4
BINS = (LAST - FIRST) * A_DECADE

# As in the small size filter, which compares these areas with its threshold.
COUNTS = f"""{SIZED}
SELECT LEAST(GREATEST(width_bucket(log(area), %(first)s, %(last)s, %(bins)s), 1), %(bins)s),
       count(*)
FROM sized WHERE fault IS NULL GROUP BY 1
"""  # noqa: S608 -- constants
DETECTIONS = """SELECT id, source_image_id, bbox FROM main_detection
    WHERE source_image_id IN ({captures})"""
OF_SET = """SELECT sourceimage_id FROM main_sourceimagecollection_images
        WHERE sourceimagecollection_id = %(of)s ORDER BY id LIMIT %(captures)s"""
OF_NIGHT = """SELECT id FROM main_sourceimage WHERE event_id = %(of)s
        ORDER BY id LIMIT %(captures)s"""


class Bar(NamedTuple):
    """A bar of the histogram, in units of its drawing, which is 100 high."""

    x: int
    height: float
    number: int
    title: str
    is_own: bool

    @property
    def y(self) -> float:
        return 100 - self.height


class Histogram(NamedTuple):
    """The areas of the detections of a capture set or a night, and the bar of this one."""

    of: str
    number: int
    smaller: int
    bars: list[Bar]

    @property
    def width(self) -> int:
        return 10 * len(self.bars)

    @property
    def percent_smaller(self) -> str:
        return f"{self.smaller / self.number:.0%}" if self.number else ""


def relative_area(detection: Detection) -> float | None:
    """Return the share of the frame that the box covers; None if there is no box or no frame."""
    box, capture = detection.get_bbox(), detection.source_image
    if box is None or not (capture.width and capture.height):
        return None
    width = max(min(box.x2, capture.width) - max(box.x1, 0), 0)
    height = max(min(box.y2, capture.height) - max(box.y1, 0), 0)
    return width * height / capture.width / capture.height


def histogram(detection: Detection, area: float) -> Histogram | None:
    """Return the histogram of the newest capture set of the detection, or else of its night.

    At most `CAPTURES` captures are read. There is none without a set and a night.
    """
    capture = detection.source_image
    newest = capture.collections.order_by("-pk").first()
    if newest is None and capture.event_id is None:
        return None
    captures, of = (OF_SET, newest.pk) if newest else (OF_NIGHT, capture.event_id)
    values = {"first": FIRST, "last": LAST, "bins": BINS, "captures": CAPTURES, "of": of}
    with connection.cursor() as cursor:
        detections = DETECTIONS.format(captures=captures)
        cursor.execute(COUNTS.format(detections=detections, faults=BOX_FAULTS), values)
        counts: dict[int, int] = dict(cursor.fetchall())
    named = (
        change_link(SourceImageCollection, newest.pk, f"capture set {newest}")
        if newest
        else change_link(Event, capture.event_id, f"night {capture.event}")
    )
    own = bin_of(area)
    highest = max(counts.values(), default=1)
    bars = [
        Bar(
            10 * (number - 1),
            round(100 * counts.get(number, 0) / highest, 1),
            counts.get(number, 0),
            f"{_percent(number - 1)} to {_percent(number)}: {counts.get(number, 0):,} detections",
            number == own,
        )
        for number in range(1, BINS + 1)
    ]
    smaller = sum(count for number, count in counts.items() if number < own)
    return Histogram(named, sum(counts.values()), smaller, bars)


def bin_of(area: float) -> int:
    """Return the number of the bin of an area, from 1, as `width_bucket` in SQL does."""
    return sum(area >= 10 ** (FIRST + number / A_DECADE) for number in range(1, BINS)) + 1


def _percent(number: int) -> str:
    return f"{100 * 10 ** (FIRST + number / A_DECADE):.2g}%"

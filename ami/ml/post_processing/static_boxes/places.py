"""Places where the boxes of a deployment stay, capture after capture."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from django.db.models import QuerySet
from numpy.typing import NDArray

from ami.base.words import counted
from ami.main.models import Deployment, Detection
from ami.main.pictures import MEDIUM, crop_url
from ami.ml.post_processing.boxes import sized

WRITTEN = re.compile(r"(\d{1,18}):(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})")
MOST_CELLS = 10_000  # the fullest cells, from which places are made
MOST_PLACES = 60  # that are counted exactly

# The number of boxes per cell, in one pass. A cell holds boxes of about the same size whose corners
# are about the same: the areas differ by less than 20 %, the corners by less than 5 % of a side.
CELLS = """, graded AS (
    SELECT *, floor(ln(GREATEST(area * width * height, 1)) / ln(1.2)) AS grade
    FROM sized WHERE fault IS NULL AND deployment_id IS NOT NULL
), meshed AS (
    SELECT *, 0.05 * power(1.2, grade / 2) AS mesh FROM graded OFFSET 0
)
SELECT deployment_id, avg(x1), avg(y1), avg(x2), avg(y2), count(DISTINCT source_image_id)
FROM meshed
GROUP BY deployment_id, grade, floor(x1 / mesh), floor(y1 / mesh), floor(x2 / mesh),
         floor(y2 / mesh)
HAVING count(DISTINCT source_image_id) > 1
ORDER BY 6 DESC, 1, 2, 3, 4, 5
LIMIT %s
"""

# The overlap of each box with the place that it overlaps most. The conditions on the corners spare
# the arithmetic for nearly all pairs. A side is at least 1e-100 because PostgreSQL raises an error
# if a product underflows.
OVERLAPS = """, place AS MATERIALIZED (
    SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::float8[], %s::float8[], %s::float8[])
    WITH ORDINALITY p (deployment_id, left_, top, right_, bottom, number)
), pair AS (
    SELECT f.id, f.source_image_id, f.event_id, p.number,
           GREATEST(x2 - x1, 1e-100) * GREATEST(y2 - y1, 1e-100) AS own,
           (right_ - left_) * (bottom - top) AS other,
           GREATEST(LEAST(x2, right_) - GREATEST(x1, left_), 1e-100)
           * GREATEST(LEAST(y2, bottom) - GREATEST(y1, top), 1e-100) AS shared
    FROM sized f JOIN place p ON p.deployment_id = f.deployment_id
     AND x1 < right_ AND x2 > left_ AND y1 < bottom AND y2 > top
    WHERE f.fault IS NULL
    OFFSET 0
), nearest AS (
    SELECT DISTINCT ON (id) id, source_image_id, event_id, number,
           shared / (own + other - shared) AS iou
    FROM pair ORDER BY id, iou DESC, number
)
"""
COUNTS = """
SELECT number, count(DISTINCT source_image_id), count(DISTINCT event_id),
       (array_agg(id ORDER BY iou DESC, id))[1]
FROM nearest WHERE iou >= %s GROUP BY number
"""
NEAREST = "SELECT id, iou FROM nearest ORDER BY id"


class Place(NamedTuple):
    """A box of a deployment, in whole pixels."""

    deployment_id: int
    x1: int
    y1: int
    x2: int
    y2: int

    def __str__(self) -> str:
        return f"{self.deployment_id}:{self.x1},{self.y1},{self.x2},{self.y2}"

    @classmethod
    def read(cls, written: str) -> "Place":
        """Raises ValueError if it is not written as `__str__` does, or if it is empty."""
        found = WRITTEN.fullmatch(written)
        place = cls(*map(int, found.groups())) if found else None
        if place is None or place.x1 >= place.x2 or place.y1 >= place.y2:
            raise ValueError(
                "must be a deployment's id and a box in whole pixels, such as 7:100,100,180,160"
            )
        return place


@dataclass(frozen=True)
class Found:
    """A place with the numbers of captures and nights on which a box stays there.

    `example` is the detection that fits it best.
    """

    place: Place
    trap: str
    captures: int
    nights: int
    example: int

    def __str__(self) -> str:
        on = counted(self.nights, "night")
        return f"{self.trap}: {counted(self.captures, 'capture')} on {on}"

    @property
    def crop(self) -> str:
        return crop_url(self.example, MEDIUM)


def find_places(
    detections: QuerySet[Detection], *, iou: float, min_captures: int, min_nights: int
) -> list[Found]:
    """The places where boxes stay on so many captures and nights, the most frequent first.

    A box stays at a place if their IoU is at least `iou`; a box that could belong to several places
    counts for the nearest one. At most 60 places are found. The time grows with the number of
    detections, and not with the number of their pairs.
    """
    with connection.cursor() as cursor:
        cursor.execute(*_query(detections, CELLS, MOST_CELLS))
        places = _merged(cursor.fetchall(), iou=iou)
        cursor.execute(*_query(detections, OVERLAPS + COUNTS, *_columns(places), iou))
        counts = cursor.fetchall()
    traps = Deployment.objects.in_bulk({place.deployment_id for place in places})
    found = [
        Found(place, str(traps[place.deployment_id]), captures, nights, example)
        for number, captures, nights, example in counts
        if captures >= min_captures and nights >= min_nights
        for place in [places[number - 1]]
    ]
    return sorted(found, key=lambda one: (-one.captures, one.place))


def overlaps(detections: QuerySet[Detection], places: Sequence[Place]) -> dict[int, float]:
    """For each of the detections that overlaps a place, its IoU with the nearest one."""
    with connection.cursor() as cursor:
        cursor.execute(*_query(detections, OVERLAPS + NEAREST, *_columns(places)))
        return dict(cursor.fetchall())


def _query(detections: QuerySet[Detection], ending: str, *values: Any) -> tuple[str, list[Any]]:
    rows, params = (
        detections.order_by().values("id", "source_image_id", "bbox").query.sql_with_params()
    )
    return sized(rows) + ending, [*params, *values]


def _columns(places: Iterable[Place]) -> list[list[int]]:
    return [list(column) for column in zip(*places, strict=True)] or [[] for _ in Place._fields]


def _merged(cells: Sequence[Any], *, iou: float) -> list[Place]:
    """The places of these cells: the fullest first, without cells that lie at a former place.

    Two boxes whose IoU with a place is `iou` have an IoU of about its square with each other.
    """
    traps = np.array([cell[0] for cell in cells], dtype=np.int64)
    boxes = np.array([cell[1:5] for cell in cells], dtype=float).reshape(-1, 4)
    captures = np.array([cell[5] for cell in cells], dtype=float)
    left = np.ones(len(cells), dtype=bool)
    found: list[tuple[float, Place]] = []
    for number in range(len(cells)):
        if not left[number]:
            continue
        near = left & (traps == traps[number]) & (_iou(boxes, boxes[number]) >= iou**2)
        near[number] = True
        left &= ~near
        if place := _whole(traps[number], boxes[number]):
            found.append((float(captures[near].sum()), place))
    found.sort(key=lambda one: (-one[0], one[1]))
    return [place for _, place in found[:MOST_PLACES]]


def _whole(trap: Any, box: Any) -> Place | None:
    place = Place(int(trap), *map(round, box.tolist()))
    return place if place.x1 < place.x2 and place.y1 < place.y2 else None


def _iou(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    total: NDArray[np.float64] = areas + np.prod(box[2:] - box[:2]) - shared
    shares: NDArray[np.float64] = shared / np.where(total > 0, total, 1)
    return shares

"""A simple implementation of tracking to compare with.

It compares each pair of boxes separately, with one object and one `save()` per row, the cheapest
pair first. It does not handle broken rows, locks, gaps and results of other runs.
"""

from itertools import pairwise
from math import dist, hypot

import numpy as np

from ami.main.models import Detection, Event
from ami.ml.post_processing.tracking import TrackingConfig

DEFAULTS = TrackingConfig(event_id=1)


def track(event: Event) -> None:
    captures = event.captures.order_by("timestamp")
    for former, latter in pairwise(list(capture.detections.all()) for capture in captures):
        pairs = [(cost(one, other), one, other) for one in former for other in latter]
        free = {detection.pk for detection in [*former, *latter]}
        for (price, limit), one, other in sorted(pairs, key=lambda pair: pair[0][0]):
            if price <= limit and {one.pk, other.pk} <= free:
                free -= {one.pk, other.pk}
                join(one, other, price)
    for occurrence in event.occurrences.all():
        occurrence.save()


def join(former: Detection, latter: Detection, price: float) -> None:
    merged, latter.occurrence = latter.occurrence, former.occurrence
    latter.save()
    former.next_detection, former.link_cost = latter, price
    former.save()
    if merged and not merged.detections.exists():
        merged.identifications.update(occurrence=former.occurrence)
        merged.delete()


def boxes(*detections: Detection) -> list[list[float]]:
    return [detection.bbox or [] for detection in detections]


def cost(former: Detection, latter: Detection) -> tuple[float, float]:
    """The cost of a link, and its threshold."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = boxes(former, latter)
    frame = former.source_image
    width, height = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
    shared = max(width, 0) * max(height, 0)
    a, b = (ax2 - ax1) * (ay2 - ay1), (bx2 - bx1) * (by2 - by1)
    distance = dist(((ax1 + ax2) / 2, (ay1 + ay2) / 2), ((bx1 + bx2) / 2, (by1 + by2) / 2))
    price = (
        (1 - shared / (a + b - shared))
        + (1 - min(a, b) / max(a, b))
        + distance / hypot(frame.width or 0, frame.height or 0)
    )
    if not (former.similarity_vector and latter.similarity_vector):
        return price, DEFAULTS.geometry_cost_threshold
    one, other = np.array(former.similarity_vector), np.array(latter.similarity_vector)
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other))
    return price + 1 - float(cosine), DEFAULTS.cost_threshold

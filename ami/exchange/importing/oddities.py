"""What a file says about detections that integrity checks would report."""

from collections import Counter
from collections.abc import Iterable, Sequence

from ami.exchange.plan import ImportPlan, Outcome
from ami.exchange.reading.records import ClassificationRecord, DetectionRecord, OccurrenceRecord
from ami.main.checks.on_captures import TOLERANCE
from ami.main.models import Classification, Detection, Occurrence, SourceImage


def tell_odd_box(box: Sequence[float], capture: SourceImage, place: str, plan: ImportPlan) -> None:
    """List a new detection whose box is not within its capture, in pixels, or not a box at all."""
    x1, y1, x2, y2 = box
    shown = ", ".join(f"{number:g}" for number in box)
    if x1 >= x2 or y1 >= y2:
        fault = "has no area, because x1 must be less than x2, and y1 less than y2"
    elif (x2 - x1 < 1 and y2 - y1 < 1) or (min(box) >= 0 and max(box) <= 1):
        fault = "is smaller than a pixel, as if its numbers were shares of the capture"
    elif _is_outside(box, capture):
        size = f" of {capture.width} x {capture.height} pixels" if capture.width else ""
        fault = f"extends beyond the capture{size}"
    else:
        return
    reason = f"The box {shown} on capture {capture.path!r} {fault}."
    plan.add(Outcome.CONTRADICTION, Detection, capture.path, place, reason=reason)


def _is_outside(box: Sequence[float], capture: SourceImage) -> bool:
    if not (capture.width and capture.height):
        return False
    x1, y1, x2, y2 = box
    right, bottom = capture.width + TOLERANCE, capture.height + TOLERANCE
    return x1 < -TOLERANCE or y1 < -TOLERANCE or x2 > right or y2 > bottom


def tell_several_results(
    classifications: Sequence[ClassificationRecord], own: str, place: str, plan: ImportPlan
) -> None:
    """List a detection with several final results of one algorithm; those without one are `own`."""
    final = Counter(
        (one.algorithm.name, one.algorithm.version) if one.algorithm else (own, 1)
        for one in classifications
        if one.terminal
    )
    for (name, version), number in final.items():
        if number > 1:
            reason = (
                f"The detection has {number} final results of algorithm {name!r}, version "
                f"{version}; only one can be final. The integrity check several_terminal repairs "
                "it."
            )
            plan.add(Outcome.CONTRADICTION, Classification, name, place, reason=reason)


def tell_repeated(
    record: OccurrenceRecord, repeated: Sequence[DetectionRecord], plan: ImportPlan
) -> None:
    """List the repeated detections of an occurrence, and the occurrence if it has no others."""
    for one in repeated:
        name = ", ".join(filter(None, (record.key, one.capture.path)))
        reason = (
            f"has the same box as {one.same_as}, so they are one detection: results of other "
            "algorithms are added to it, and the rest is left out"
        )
        plan.add(Outcome.SKIPPED, Detection, name, one.place, reason=reason)
    if len(repeated) == len(record.detections):
        reason = (
            f"has no box of its own, so it is the individual of {repeated[0].same_as}, which gets "
            "its identifications"
        )
        name = record.key or record.place
        plan.add(Outcome.SKIPPED, Occurrence, name, record.place, reason=reason)


def tell_split_occurrence(
    record: OccurrenceRecord, captures: Iterable[SourceImage], plan: ImportPlan
) -> None:
    """List a new occurrence that cannot be one individual, by the captures of its detections."""
    seen = list(captures)
    if len({row.pk for row in seen}) < len(seen):
        fault = "several detections on one capture"
    elif len({row.event_id for row in seen} - {None}) > 1:
        fault = "detections in several nights"
    else:
        return
    name = record.key or record.place
    reason = f"Occurrence {name} has {fault}, so it cannot be one individual."
    plan.add(Outcome.CONTRADICTION, Occurrence, name, record.place, reason=reason)


def drop_odd_sources(detection: DetectionRecord, plan: ImportPlan) -> None:
    """List and clear each `applied_to` that leads out of the detection, or back to where it began.

    A classification is derived from others of the same detection.
    """
    sources = {one.key: one.applied_to for one in detection.classifications}
    for one in detection.classifications:
        if not one.applied_to:
            continue
        if one.applied_to not in sources:
            fault = "which is not a classification of the same detection"
        elif _leads_back(one.key, sources):
            fault = "which is itself derived from it"
        else:
            continue
        reason = (
            f"Classification {one.key} is derived from {one.applied_to}, {fault}. It is imported "
            "without its source."
        )
        plan.add(Outcome.CONTRADICTION, Classification, one.label, detection.place, reason=reason)
        one.applied_to = sources[one.key] = ""


def _leads_back(key: str, sources: dict[str, str]) -> bool:
    seen: set[str] = set()
    at = sources[key]
    while at and at != key and at not in seen:
        seen.add(at)
        at = sources.get(at, "")
    return at == key

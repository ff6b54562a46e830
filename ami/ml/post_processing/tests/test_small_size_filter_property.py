"""The filter compared with a reference in plain Python, on any boxes and frames."""

from math import isfinite
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import make_deployment, make_project
from ami.main.models import Classification, Detection, SourceImage, SourceImageCollection
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask

Box = list[Any] | None
Frame = tuple[int | None, int | None]

near = st.floats(-50, 250) | st.integers(-2, 202).map(float)
anything = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
boxes = (
    st.none()
    | st.lists(near, min_size=4, max_size=4)
    | st.lists(near | anything | st.none(), max_size=5)
)
sides = st.none() | st.sampled_from([0, 1, 7, 100, 200, 2**31 - 1])
thresholds = st.floats(0, 1, exclude_min=True, exclude_max=True) | st.sampled_from(
    [0.25, 0.01, 0.0008]
)


def reference(bbox: Box, frame: Frame, threshold: float) -> str:
    if bbox is None:
        return "no box"
    if len(bbox) != 4 or not all(x is not None and isfinite(x) for x in bbox):
        return "box is not four finite numbers"
    width, height = frame
    if not width or not height:
        return "frame without width or height"
    x1, x2 = (min(max(x or 0.0, 0.0), width) for x in bbox[::2])
    y1, y2 = (min(max(y or 0.0, 0.0), height) for y in bbox[1::2])
    if x2 <= x1 or y2 <= y1:
        return "box is empty or inverted"
    return "small" if (x2 - x1) * (y2 - y1) / (width * height) < threshold else "large"


@pytest.mark.django_db
@settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(boxes, st.tuples(sides, sides)), min_size=1, max_size=12), thresholds)
def test_filter_does_as_the_plain_one(rows: list[tuple[Box, Frame]], threshold: float) -> None:
    project = make_project()
    deployment = make_deployment(project=project)
    captures = SourceImage.objects.bulk_create(
        SourceImage(deployment=deployment, path=str(number), width=width, height=height)
        for number, (_, (width, height)) in enumerate(rows)
    )
    detections = Detection.objects.bulk_create(
        Detection(source_image=capture, bbox=bbox)
        for capture, (bbox, _) in zip(captures, rows, strict=True)
    )
    capture_set = SourceImageCollection.objects.create(project=project, name="All")
    capture_set.images.set(captures)
    task = SmallSizeFilterTask(source_image_collection_id=capture_set.pk, size_threshold=threshold)
    task.run()

    verdicts = [reference(bbox, frame, threshold) for bbox, frame in rows]
    flagged = Classification.objects.filter(detection__in=detections).values_list(
        "detection_id", flat=True
    )
    assert [detection.pk in set(flagged) for detection in detections] == [
        verdict == "small" for verdict in verdicts
    ]
    skipped = {v: verdicts.count(v) for v in verdicts if v not in {"small", "large"}}
    assert {reason: rows for reason, (rows, _) in task.skipped.items()} == skipped
    assert task.counts["detections_skipped"] == sum(skipped.values())
    assert task.counts["detections_checked"] == len(rows)

"""The methods of the documentation, run as printed there."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ami.base.tests.factories import make_capture, make_capture_set, make_detection
from ami.jobs.tests.job_types import forget
from ami.main.models import Classification
from ami.ml.post_processing import batches
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS, register_all
from ami.ml.post_processing.tests.methods import told
from ami.ml.post_processing.tests.vectors import make_classifier, make_source, make_species, run

pytestmark = pytest.mark.django_db
REFERENCE = Path(__file__).parents[4] / "docs" / "reference" / "framework.md"
PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "add-a-method.md"


@pytest.fixture(autouse=True)
def examples() -> Iterator[None]:
    known = set(POSTPROCESSING_TASKS)
    try:
        for code in re.findall("```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
            module = ModuleType("example")
            exec(code, vars(module))  # noqa: S102 -- our own page
            register_all(module)
        yield
    finally:
        for key in set(POSTPROCESSING_TASKS) - known:
            forget(POSTPROCESSING_TASKS, key)


def test_reference_tells_the_defaults_of_a_method() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `.+?` \| (\S+) \|", REFERENCE.read_text(), re.MULTILINE)
    defaults = {name: default.strip("`") for name, default in rows}
    assert defaults.keys() >= {"key", "unit", "batch_size", "part_batches", "warnings"}
    for name, stated in defaults.items():
        default = getattr(BasePostProcessingTask, name, "required")
        default = dict(default) if isinstance(default, Mapping) else default
        assert default == (stated if stated == "required" else eval(stated, vars(batches)))  # noqa: S307


def test_method_is_a_schema_and_a_process() -> None:
    boxes: list[Any] = [[5, 50, 60, 60], [6, 6, 994, 994], [50, 50, 60, 995], None]
    capture = make_capture()
    detections = [make_detection(source_image=capture, bbox=box) for box in boxes]
    capture_set = make_capture_set([capture])
    task_cls = POSTPROCESSING_TASKS["frame_edge"]
    task = task_cls(source_image_collection_id=capture_set.pk)
    task.run()
    assert told(task) == {
        "detections_checked": 4,
        "detections_flagged": 2,
        "Skipped: no box, or frame without a size": 1,
    }
    flags = Classification.objects.filter(taxon__name="Not identifiable", metadata={"margin": 5})
    assert [flag.detection for flag in flags.order_by("pk")] == [detections[0], detections[2]]


def test_method_that_derives_is_a_rule() -> None:
    species = make_species("a", "b")
    source = make_source(make_classifier("nobody", "a", "b"), logits=[0.0, 2.0, 4.0])
    unnamed = make_source(source.algorithm, logits=[4.0, 2.0, 0.0])
    task_cls = POSTPROCESSING_TASKS["softer"]
    assert run(task_cls)["classifications_checked"] == 2
    (result,) = source.derived_classifications.all()
    assert (result.taxon, result.terminal) == (species[1], True)
    assert not unnamed.derived_classifications.exists()
    assert run(task_cls) == {"classifications_checked": 1}

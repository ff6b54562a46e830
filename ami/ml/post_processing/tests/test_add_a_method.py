"""The methods that the documentation shows how to write, run as they stand there."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ami.jobs.tests.job_types import forget
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS, register_all
from ami.ml.post_processing.tests.methods import make_scope
from ami.ml.post_processing.tests.vectors import (
    make_classifier,
    make_source,
    make_species,
    run,
)

pytestmark = pytest.mark.django_db
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


def test_method_is_a_schema_and_a_process() -> None:
    task = POSTPROCESSING_TASKS["dark_frame"](source_image_collection_id=make_scope(2, 1).pk)
    task.run()
    assert task.counts == {"detections_checked": 3, "detections_flagged": 0}


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

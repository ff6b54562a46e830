from abc import ABC, abstractmethod
from typing import Any

import pytest
from pydantic import ValidationError

from ami.base.tests.factories import make_algorithm
from ami.jobs.states import JobFailedError
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.tests.methods import CountingTask, ScopeConfig

COMPLETE: dict[str, Any] = {
    "key": "whole",
    "name": "Whole",
    "config_schema": ScopeConfig,
    "process": lambda self, batch: None,
}


def define(*bases: type, **attributes: Any) -> type:
    return type("Method", bases or (BasePostProcessingTask,), attributes)


@pytest.mark.parametrize("lacking", ["config_schema", "key", "name"])
def test_definition_names_what_is_missing(lacking: str) -> None:
    attributes = {name: value for name, value in COMPLETE.items() if name != lacking}
    with pytest.raises(TypeError, match=rf"^Method must define {lacking}\.$"):
        define(**attributes)


def test_definition_names_all_that_is_missing() -> None:
    with pytest.raises(TypeError, match=r"^Method must define key, name, config_schema\.$"):
        define(process=COMPLETE["process"])


@pytest.mark.parametrize("attributes", [{}, {"key": "whole", "name": "Whole"}])
def test_intermediary_leaves_the_rest_to_its_children(attributes: dict[str, Any]) -> None:
    between = define(**attributes)
    with pytest.raises(
        TypeError, match=r"^Method cannot be instantiated: it must define .*process or run"
    ):
        between(occurrence_id=1)
    assert define(between, **COMPLETE)(occurrence_id=1).config.occurrence_id == 1
    with pytest.raises(TypeError, match=r"must define .*config_schema\."):
        define(between, run=print)


def test_base_itself_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="BasePostProcessingTask"):
        BasePostProcessingTask()


@pytest.mark.parametrize("schema", [None, dict, "ScopeConfig", ScopeConfig(occurrence_id=1)])
def test_config_schema_must_be_a_pydantic_model(schema: Any) -> None:
    with pytest.raises(TypeError, match="config_schema"):
        define(**COMPLETE | {"config_schema": schema})


@pytest.mark.parametrize("name", ["key", "name"])
def test_key_and_name_must_not_be_empty(name: str) -> None:
    with pytest.raises(TypeError, match=rf"must define {name}\."):
        define(**COMPLETE | {name: ""})


def test_complete_definition_is_taken() -> None:
    define(**COMPLETE)


def test_abstract_classes_may_lack_everything() -> None:
    class Named(BasePostProcessingTask, ABC):
        pass

    class Unfinished(BasePostProcessingTask, ABC):
        @abstractmethod
        def process(self, batch: Batch) -> None: ...

    class StillUnfinished(Unfinished):
        pass

    for abstract in (Named, Unfinished, StillUnfinished):
        define(abstract, **COMPLETE)
    define(Named)
    with pytest.raises(TypeError, match=r"must define key, name, config_schema\."):
        define(Unfinished, process=COMPLETE["process"])


def test_subclass_of_a_method_inherits_what_it_declares() -> None:
    assert define(CountingTask).name == "Counting"  # type: ignore[attr-defined]


def test_run_of_its_own_needs_no_process() -> None:
    method = define(**COMPLETE | {"process": BasePostProcessingTask.process, "run": print})
    with pytest.raises(TypeError, match=r"Method overrides run\(\) and processes no batches"):
        method(occurrence_id=1).process(None)


def test_options_are_parsed_by_the_schema() -> None:
    task = CountingTask(occurrence_id="7")
    assert task.config == ScopeConfig(occurrence_id=7)


@pytest.mark.parametrize(
    "options", [{}, {"occurrence_id": 1, "source_image_collection_id": 2}, {"nonsense": 1}]
)
def test_options_that_the_schema_refuses_raise(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CountingTask(**options)


def test_construction_asks_the_database_nothing() -> None:
    """The test would fail without a `django_db` mark."""
    CountingTask(occurrence_id=1)


@pytest.mark.django_db
def test_algorithm_is_made_once() -> None:
    first = CountingTask(occurrence_id=1).algorithm
    assert (first.key, first.name, first.task_type) == ("counting", "Counting", "post_processing")
    assert CountingTask(occurrence_id=2).algorithm == first


@pytest.mark.django_db
def test_algorithm_of_its_name_under_another_key_is_told_in_a_sentence() -> None:
    make_algorithm(name=CountingTask.name, key="imported")
    with pytest.raises(JobFailedError, match=r"already exists with a key other than"):
        _ = CountingTask(occurrence_id=1).algorithm

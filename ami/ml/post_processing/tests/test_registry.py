from collections.abc import Callable
from functools import partial
from operator import setitem
from typing import Any

import pytest

from ami.base.registry import UnknownKeyError
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS, get_postprocessing_task, register
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import CountingTask, registered


def test_modules_of_the_package_register_themselves() -> None:
    assert POSTPROCESSING_TASKS["small_size_filter"] is SmallSizeFilterTask
    assert get_postprocessing_task("small_size_filter") is SmallSizeFilterTask


def test_unknown_key_is_answered_with_the_known_ones() -> None:
    with registered(CountingTask), pytest.raises(UnknownKeyError) as unknown:
        get_postprocessing_task("x")
    others = [key for key in POSTPROCESSING_TASKS if key < CountingTask.key]
    known = ", ".join([*others, CountingTask.key])
    assert str(unknown.value).startswith(f"Unknown method 'x'. Registered: {known}, ")
    assert isinstance(unknown.value, KeyError)


def test_second_method_of_a_key_is_refused() -> None:
    class Impostor(CountingTask):
        pass

    with registered(CountingTask):
        assert register(CountingTask) is CountingTask
        for claim in (register, partial(setitem, POSTPROCESSING_TASKS, "counting")):
            with pytest.raises(ValueError, match="Two methods have the key 'counting'"):
                claim(Impostor)
        assert get_postprocessing_task("counting") is CountingTask
    assert "counting" not in POSTPROCESSING_TASKS


def test_method_is_registered_and_forgotten_as_an_item() -> None:
    POSTPROCESSING_TASKS["counting"] = CountingTask
    assert get_postprocessing_task("counting") is CountingTask
    assert POSTPROCESSING_TASKS.pop("counting") is CountingTask
    with pytest.raises(UnknownKeyError):
        del POSTPROCESSING_TASKS["counting"]


def test_method_is_registered_under_its_own_key_alone() -> None:
    with pytest.raises(ValueError, match="CountingTask has the key 'counting'; register it"):
        POSTPROCESSING_TASKS["other"] = CountingTask
    assert "other" not in POSTPROCESSING_TASKS


class Between(BasePostProcessingTask):
    """Leaves everything except its key to its subclasses."""

    key = "between"


@pytest.mark.parametrize("odd", [Between, BasePostProcessingTask, dict, CountingTask.run, None])
@pytest.mark.parametrize("claim", [register, partial(setitem, POSTPROCESSING_TASKS, "between")])
def test_class_that_is_not_a_concrete_method_is_refused(
    claim: Callable[[Any], Any], odd: Any
) -> None:
    with pytest.raises(TypeError, match=r"cannot be registered|must be a subclass of Base"):
        claim(odd)
    assert "between" not in POSTPROCESSING_TASKS

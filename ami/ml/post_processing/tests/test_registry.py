import pytest

from ami.base.registry import UnknownKeyError
from ami.ml.post_processing.registry import (
    POSTPROCESSING_TASKS,
    get_postprocessing_task,
    register,
)
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
        with pytest.raises(ValueError, match="Two methods claim the key 'counting'"):
            register(Impostor)
        assert get_postprocessing_task("counting") is CountingTask
    assert "counting" not in POSTPROCESSING_TASKS

"""Random sequences of steps of operators and people; no step causes a fault."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ami.base.tests.emptying import empty_tables
from ami.base.tests.snapshots import values
from ami.jobs.journal import undo
from ami.jobs.tests.seeing import broker
from ami.jobs.tests.walking import OPTIONS, Step, Walk, nights, steps
from ami.jobs.tests.workers import Broker
from ami.main.models import Deployment, Event, SourceImage
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.testing.records import left, rows

__all__ = ["broker"]
pytestmark = pytest.mark.django_db(transaction=True)
planted = st.sets(st.integers(0, 9), max_size=2)


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every method run in small batches and several parts, and a revert in several portions."""
    monkeypatch.setattr(undo, "BATCH_SIZE", 6)
    for task_cls in POSTPROCESSING_TASKS.values():
        monkeypatch.setattr(task_cls, "batch_size", 2)
        monkeypatch.setattr(task_cls, "part_batches", 1)


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    """Keep the files that are imported apart."""
    settings.MEDIA_ROOT = tmp_path


def places() -> dict[str, list[dict[str, Any]]]:
    """The captures and nights with their counts, which imports and shifts of a clock change."""
    return values(SourceImage, Event, Deployment)


def examples(number: int) -> settings:
    return settings(
        max_examples=number,
        derandomize=True,
        phases=[Phase.generate],  # shrinking would take hours
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def walk(broker: Broker, night: list[Any], faults: set[int], taken: list[Any]) -> None:
    empty_tables()  # of the walk before this one
    walk, start = Walk(broker, night, faults), places()
    for step in taken:
        walk.take(Step(*step))
    reverts = walk.revert_everything()
    assert walk.untouched(rows()) == walk.untouched(walk.start)
    if not walk.touched:
        assert [left(job) for job in reverts] == [[] for _ in reverts]
        assert places() == start


def test_every_method_takes_part() -> None:
    assert set(OPTIONS) == set(POSTPROCESSING_TASKS)


@examples(15)
@given(nights, planted, steps)
def test_walk_leaves_no_fault_and_is_reverted_exactly(
    broker: Broker, night: list[Any], faults: set[int], taken: list[Any]
) -> None:
    walk(broker, night, faults, taken)


@pytest.mark.chaos
@examples(200)
@given(nights, planted, steps)
def test_many_walks_leave_no_fault_and_are_reverted_exactly(
    broker: Broker, night: list[Any], faults: set[int], taken: list[Any]
) -> None:
    walk(broker, night, faults, taken)

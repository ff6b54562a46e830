"""What a worker does when Celery signals something."""

import gc
from collections.abc import Iterator

import pytest
from celery.signals import worker_process_init

from ami.base.garbage import spare_loaded_objects
from ami.jobs import signals


@pytest.fixture
def plain_collector() -> Iterator[None]:
    """The collector as Python starts it; afterwards, that of the tests."""
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    spare_loaded_objects()


@pytest.mark.usefixtures("plain_collector")
def test_process_of_a_worker_spares_what_is_loaded() -> None:
    receivers = [reference() for _, reference in worker_process_init.receivers]
    assert signals.spare_loaded in receivers
    signals.spare_loaded()
    assert gc.get_freeze_count() > 10_000
    assert gc.isenabled()
    assert gc.get_threshold()[0] > 700

"""Which message may claim a part, and when a stopped Job continues or ends."""

from collections.abc import Iterator

import pytest

from ami.jobs import transitions
from ami.jobs.engine import runner
from ami.jobs.models import JobPart, JobState
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.seeing import broker
from ami.jobs.tests.workers import Broker, assert_sound, fresh, handed_out, queued, run_part
from ami.main.models import SourceImageCollection
from ami.ml.post_processing.tests.methods import PartingTask, make_scope, registered

__all__ = ["broker"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def methods() -> Iterator[None]:
    with registered(PartingTask):
        yield


@pytest.fixture
def scope() -> SourceImageCollection:
    return make_scope(1, 1)


def test_message_from_before_a_resume_does_not_count(
    broker: Broker, scope: SourceImageCollection
) -> None:
    job = queued(PartingTask, scope)
    broker.forget()
    old = job.task_id
    job.cancel()
    assert job.resume()
    runner.run(job.pk, task_id=old)
    assert fresh(job).status == JobState.PENDING
    broker.work(2)
    assert assert_sound(job).outcome == Outcome.PROBLEMS


def test_part_whose_worker_and_message_are_gone_is_resumed(
    broker: Broker, scope: SourceImageCollection
) -> None:
    """Its worker is killed, the Job is paused, and the message is delivered again meanwhile."""
    job, (first, _) = handed_out(broker, scope)
    assert JobPart.claim(first.pk, task_id=first.task_id)
    fresh(job).pause()
    run_part(first)
    fresh(job).resume()
    broker.work()
    assert assert_sound(job).outcome == Outcome.PROBLEMS


def test_canceled_job_ends_only_when_none_of_its_parts_runs(
    broker: Broker, scope: SourceImageCollection
) -> None:
    job, (first, _) = handed_out(broker, scope)
    part = JobPart.claim(first.pk, task_id=first.task_id)
    assert part
    assert fresh(job).cancel()
    transitions.settle(fresh(job))
    assert fresh(job).status == JobState.CANCELING
    part.save_as_holder(state=PartState.QUEUED)
    transitions.settle(fresh(job))
    assert fresh(job).outcome == Outcome.CANCELED


def test_part_is_claimed_while_its_job_runs_and_for_its_newest_message_alone(
    broker: Broker, scope: SourceImageCollection
) -> None:
    job, (first, _) = handed_out(broker, scope)
    fresh(job).pause()
    assert JobPart.claim(first.pk, task_id=first.task_id) is None
    fresh(job).resume()
    newest = JobPart.objects.get(pk=first.pk).task_id
    assert newest != first.task_id
    assert JobPart.claim(first.pk, task_id=first.task_id) is None
    assert JobPart.claim(first.pk, task_id=newest)

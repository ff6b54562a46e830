"""Messages that a worker has taken, and when they return to their queue."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ami.jobs.states import PartState
from ami.jobs.tests.queues import age_what_was_taken, take_message, waiting
from ami.jobs.tests.rows import make_part, running_job
from ami.jobs.watch import broker, health

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_broker")]
Messages = list[tuple[str, list[Any]]]


def hold(*tags: str) -> None:
    """Let a worker report that it holds these messages."""
    with broker._store() as store:
        store.client.zadd(f"{store.prefix}hands", {"other@localhost": time.time()})
        store.client.set(f"{store.prefix}hand:other@localhost", json.dumps(tags), ex=30)


@pytest.fixture
def no_hands() -> Iterator[None]:
    """No worker reports the messages that it holds, including workers of other tests."""

    def forget() -> None:
        with broker._store() as store:
            store.client.delete(f"{store.prefix}hands")

    forget()
    yield
    forget()


@pytest.mark.usefixtures("no_hands")
@pytest.mark.parametrize("state", [PartState.QUEUED, PartState.RUNNING])
def test_message_of_a_worker_that_no_longer_answers_goes_back_to_its_queue(
    state: PartState, published: Messages
) -> None:
    part = make_part(running_job(), state)
    part.publish()
    message = take_message()
    hold(message.delivery_tag)
    age_what_was_taken()
    assert broker.give_back() == set()
    hold("of another")
    assert health.lost_enqueues()["fixed"] == 0
    assert waiting(part) == len(published) == 1
    assert take_message().headers["id"] == part.task_id
    assert not take_message()
    assert part.job.logs.get().message == (
        f"The worker that took {part} does not respond; the message is back in its queue."
    )


@pytest.mark.usefixtures("no_hands")
def test_where_no_worker_tells_what_it_has_in_hand_nothing_is_given_back() -> None:
    part = make_part(running_job(), PartState.RUNNING)
    part.publish()
    assert take_message()
    age_what_was_taken()
    assert broker.give_back() == set()
    assert waiting(part) == 0


@pytest.mark.usefixtures("no_hands")
def test_message_that_was_just_taken_is_left_to_its_worker() -> None:
    part = make_part(running_job(), PartState.QUEUED)
    part.publish()
    assert take_message()
    assert broker.give_back() == set()
    assert waiting(part) == 0


@pytest.mark.usefixtures("no_hands")
def test_part_that_a_worker_took_and_did_not_begin_is_sent_again(published: Messages) -> None:
    """A pool process may be suspended while its worker answers."""
    part = make_part(running_job(), PartState.QUEUED)
    part.publish()
    hold(take_message().delivery_tag)
    age_what_was_taken()
    assert health.lost_enqueues() == {"checked": 1, "fixed": 1, "unfixable": 0}
    assert health.lost_enqueues()["fixed"] == 0
    assert len(published) == 2


@pytest.mark.usefixtures("no_hands")
def test_worker_that_is_late_to_tell_what_it_has_in_hand_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = make_part(running_job(), PartState.QUEUED)
    part.publish()
    tag = take_message().delivery_tag
    age_what_was_taken()
    monkeypatch.setattr("ami.jobs.watch.broker.time.sleep", lambda seconds: hold(tag))
    assert broker.give_back() == set()

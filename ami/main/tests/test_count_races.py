"""Counts that several transactions change at the same time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Signal
from threading import Thread

import pytest
from django.db import connection, connections, transaction

from ami.base.tests.factories import make_deployment, make_detection
from ami.main.models import Deployment, Event, Occurrence, SourceImage
from ami.main.tests.counting import (
    add_in_bulk,
    counts_of,
    first_capture,
    make_counted_deployment,
    move_a_capture_to_another_night,
)
from ami.testing.records import stale_counts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def deployment() -> Deployment:
    return make_counted_deployment()


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[Thread]:
    """Run `work` on a separate connection, and wait for it at the end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    yield thread
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert failures == []


def test_two_transactions_on_a_deployment_wait_for_a_commit_alone(deployment: Deployment) -> None:
    """The second transaction ends while the first one, which has added rows, is still running."""
    added, done = Signal(), Signal()

    def first() -> None:
        with transaction.atomic():
            add_in_bulk(deployment)
            added.set()
            assert done.wait(timeout=60)

    with beside(first):
        assert added.wait(timeout=60)
        Occurrence.objects.create(deployment=deployment, event=deployment.events.get())
        done.set()

    assert stale_counts() == []
    assert counts_of(deployment) == [1, 2, 7, 6]


def test_transactions_that_touch_deployments_in_either_order_do_not_deadlock(
    deployment: Deployment,
) -> None:
    other = make_deployment()
    both = Signal(), Signal()

    def touch(places: list[Deployment], mine: Signal, theirs: Signal) -> None:
        with transaction.atomic():
            Occurrence.objects.create(deployment=places[0])
            mine.set()
            assert theirs.wait(timeout=60)
            Occurrence.objects.create(deployment=places[1])

    with beside(lambda: touch([deployment, other], *both)):
        touch([other, deployment], both[1], both[0])

    assert stale_counts() == []


def test_detection_added_while_its_capture_moves_is_counted_where_it_goes(
    deployment: Deployment,
) -> None:
    capture, moved, done = first_capture(deployment), Signal(), Signal()

    def move() -> None:
        with transaction.atomic():
            move_a_capture_to_another_night(deployment)
            moved.set()
            assert done.wait(timeout=60)

    def add() -> None:
        make_detection(source_image=SourceImage.objects.get(pk=capture.pk))

    with beside(move):
        assert moved.wait(timeout=60)
        with beside(add):
            wait_for_a_lock()
            done.set()

    assert stale_counts() == []
    assert counts_of(Event.objects.get(group_by="2022-06-21")) == [1, 3, 0]


def wait_for_a_lock() -> None:
    """Wait until another session of this database waits for a row."""
    with connection.cursor() as cursor:
        for _ in range(1_200):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
            cursor.execute("SELECT pg_sleep(0.05)")
    pytest.fail("Nobody waited.")

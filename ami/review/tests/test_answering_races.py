"""Several people, or one in two windows, who answer at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from ami.base.tests.factories import make_user
from ami.main.models import Identification, Occurrence
from ami.main.tests.test_determination_locks import (
    run_in_thread,
    wait_until_someone_waits_for_a_lock,
)
from ami.review.answering import Verdict, answer, hand_out, undo
from ami.review.models import Judgement
from ami.review.tests.samples import make_sample
from ami.review.tests.test_answering import positions
from ami.users.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada() -> User:
    return make_user(name="Ada")


@pytest.fixture
def bob() -> User:
    return make_user(name="Bob")


def test_people_who_ask_at_the_same_time_get_different_items(ada: User, bob: User) -> None:
    sample = make_sample(items=4)

    def ask(user: User) -> list[int]:
        try:
            return positions(hand_out(sample, user, 2))
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as threads:
        mine = positions(hand_out(sample, ada, 2))
        theirs = threads.submit(ask, bob).result(timeout=30)
    assert (mine, theirs) == ([1, 2], [3, 4])


def test_two_answers_at_once_are_both_kept(ada: User, bob: User) -> None:
    sample = make_sample(items=1, blind=False)
    item = sample.items.get()

    def judge(user: User) -> None:
        try:
            answer(sample, item.pk, user=user, verdict=Verdict.RIGHT)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(judge, [ada, bob]))
    assert {one.user for one in item.judgements.filter(withdrawn=False)} == {ada, bob}
    assert {one.user for one in Identification.objects.filter(withdrawn=False)} == {ada, bob}


def test_an_undo_waits_for_an_answer_about_the_same_item(ada: User) -> None:
    sample, taken_back = make_sample(items=1), []
    item = sample.items.get()
    answer(sample, item.pk, user=ada, verdict=Verdict.CANNOT_TELL)
    with transaction.atomic():
        sample.items.select_for_update().get()  # as an answer begins
        thread = run_in_thread(lambda: taken_back.append(undo(sample, ada)))
        wait_until_someone_waits_for_a_lock()
        answer(sample, item.pk, user=ada, verdict=Verdict.SKIPPED)
    thread.join()
    assert taken_back == [item]
    assert not Judgement.objects.filter(withdrawn=False).exists()


def test_an_undo_and_a_withdrawal_of_the_same_answer_do_not_block_each_other(ada: User) -> None:
    sample = make_sample(items=1, blind=False)
    item = sample.items.get()
    one = answer(sample, item.pk, user=ada, verdict=Verdict.RIGHT).identification
    assert one
    with transaction.atomic():
        Occurrence.objects.select_for_update(no_key=True).get()  # as on the page of the occurrence
        thread = run_in_thread(lambda: undo(sample, ada))
        wait_until_someone_waits_for_a_lock()
        one.withdrawn = True
        one.save()
    thread.join()
    assert not Judgement.objects.filter(withdrawn=False).exists()

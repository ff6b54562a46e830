"""Handing out items, answers and their verdicts, identifications, and taking answers back."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_project, make_user
from ami.main.models import AuditNote, Classification, Identification, Occurrence
from ami.review.answering import (
    CLAIM,
    GoneError,
    NotAnsweredError,
    Verdict,
    answer,
    hand_out,
    handed_to_others,
    item_for,
    progress,
    show_name,
    take_up_skipped,
    undo,
    upcoming,
    waiting_for_others,
)
from ami.review.models import Judgement, Sample, SampleItem
from ami.review.results import result_of
from ami.review.tests.samples import make_sample, make_species
from ami.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return make_user(name="Ada")


@pytest.fixture
def bob() -> User:
    return make_user(name="Bob")


def positions(items: list[SampleItem]) -> list[int]:
    return [item.position for item in items]


def next_of(sample: Sample, user: User) -> SampleItem:
    return hand_out(sample, user, 1)[0]


def skip_all(sample: Sample, user: User) -> None:
    while items := hand_out(sample, user, 5):
        for item in items:
            answer(sample, item.pk, user=user, verdict=Verdict.SKIPPED)


def test_a_blind_name_becomes_an_identification(ada: User) -> None:
    sample = make_sample()
    item, named = next_of(sample, ada), make_species("Zale lunata")
    said = answer(sample, item.pk, user=ada, taxon=named, seconds=2.5)
    assert (said.verdict, said.taxon, said.blind, said.seconds) == ("wrong", named, True, 2.5)
    one = said.identification
    assert one is not None
    assert (one.user, one.taxon, one.sample, one.blind, one.seconds) == (
        *(ada, named, sample, True),
        2.5,
    )
    assert one.is_independent
    item.occurrence.refresh_from_db()
    assert item.occurrence.determination == named
    note = AuditNote.objects.select_related("entry").get()
    assert (note.kind, note.entry.user) == ("identify", ada)
    assert (
        note.entry.change_message == "Identified as Zale lunata in the review of “Moths of June”."
    )


def test_right_agrees_with_what_gives_the_name(ada: User, bob: User) -> None:
    sample = make_sample(blind=False, doubles=(1,))
    item = next_of(sample, ada)
    first = answer(sample, item.pk, user=ada, verdict=Verdict.RIGHT).identification
    assert first is not None
    best = Classification.objects.filter(detection__occurrence=item.occurrence).best_first().first()
    assert (first.taxon, first.agreed_with_prediction, first.blind) == (item.taxon, best, False)
    second = answer(sample, next_of(sample, bob).pk, user=bob, verdict=Verdict.RIGHT).identification
    assert second is not None
    assert second.agreed_with_identification == first


def test_right_about_a_name_that_is_gone_is_only_a_judgement(ada: User) -> None:
    sample = make_sample(blind=False)
    item = next_of(sample, ada)
    Classification.objects.all().delete()
    said = answer(sample, item.pk, user=ada, verdict=Verdict.RIGHT)
    assert (said.verdict, said.taxon, said.identification) == ("right", item.taxon, None)


@pytest.mark.parametrize("verdict", ["wrong", "cannot_tell", "skipped"])
def test_other_verdicts_are_only_judgements(ada: User, verdict: str) -> None:
    sample = make_sample(blind=False)
    said = answer(sample, next_of(sample, ada).pk, user=ada, verdict=verdict)
    assert (said.verdict, said.taxon, said.identification) == (verdict, None, None)
    assert not Identification.objects.exists()


def test_a_sample_may_keep_judgements_only(ada: User) -> None:
    sample = make_sample(identifies=False)
    item = next_of(sample, ada)
    before = item.occurrence.determination
    said = answer(sample, item.pk, user=ada, taxon=make_species("Zale lunata"))
    assert said.taxon
    assert not Identification.objects.exists()
    item.occurrence.refresh_from_db()
    assert item.occurrence.determination == before


def test_right_and_wrong_need_the_name(ada: User) -> None:
    sample = make_sample()
    item = next_of(sample, ada)
    for verdict in (Verdict.RIGHT, Verdict.WRONG):
        with pytest.raises(NotAnsweredError, match="hidden"):
            answer(sample, item.pk, user=ada, verdict=verdict)
    show_name(item, ada)
    assert hand_out(sample, ada, 1)[0].is_seen  # type: ignore[attr-defined]
    said = answer(sample, item.pk, user=ada, verdict=Verdict.RIGHT)
    assert not said.blind
    assert said.identification
    assert not said.identification.is_independent


def test_a_shown_name_is_hidden_from_the_next_person(ada: User, bob: User) -> None:
    sample = make_sample(items=1)
    show_name(next_of(sample, ada), ada)
    SampleItem.objects.update(claimed_at=F("claimed_at") - CLAIM)
    item = next_of(sample, bob)
    assert not item.is_seen  # type: ignore[attr-defined]
    assert answer(sample, item.pk, user=bob, taxon=make_species("Zale lunata")).blind


def test_a_name_shown_to_another_person_stays_hidden_after_an_undo(ada: User, bob: User) -> None:
    sample = make_sample(items=1)
    answer(sample, next_of(sample, ada).pk, user=ada, verdict=Verdict.SKIPPED)
    show_name(next_of(sample, bob), bob)
    item: Any = undo(sample, ada)
    assert not item.is_seen


def test_an_occurrence_without_a_name_is_neither_right_nor_wrong(ada: User) -> None:
    sample = make_sample(blind=False)
    sample.items.update(taxon=None)
    with pytest.raises(NotAnsweredError, match="has no name"):
        answer(sample, next_of(sample, ada).pk, user=ada, verdict=Verdict.WRONG)


def test_people_get_different_items_in_order(ada: User, bob: User) -> None:
    sample = make_sample(items=6)
    assert positions(hand_out(sample, ada, 2)) == [1, 2]
    assert positions(hand_out(sample, bob, 3)) == [3, 4, 5]
    last = sample.items.get(position=6)
    assert upcoming(sample, ada, after=hand_out(sample, ada, 2), number=9) == [last.occurrence_id]
    assert positions(hand_out(sample, ada, 9)) == [1, 2, 6], "theirs are among them"
    assert hand_out(sample, make_user(), 9) == []
    assert handed_to_others(sample, make_user()) == 6


def test_a_claim_expires_and_is_taken_up_by_another(ada: User, bob: User) -> None:
    sample = make_sample(items=2)
    hand_out(sample, ada, 2)
    SampleItem.objects.update(claimed_at=F("claimed_at") - CLAIM + timedelta(minutes=1))
    assert hand_out(sample, bob, 2) == []
    SampleItem.objects.update(claimed_at=F("claimed_at") - timedelta(minutes=1))
    (first, second) = hand_out(sample, bob, 2)
    assert hand_out(sample, ada, 2) == []
    # The page of the first person still shows the item: both answers are kept.
    named = make_species("Zale lunata")
    for person in (ada, bob):
        answer(sample, first.pk, user=person, taxon=named)
    assert first.judgements.filter(withdrawn=False).count() == 2
    assert positions(hand_out(sample, bob, 2)) == positions([second])


def test_a_person_who_comes_back_gets_the_same_items(ada: User) -> None:
    sample = make_sample(items=4)
    held = hand_out(sample, ada, 2)
    SampleItem.objects.update(claimed_at=F("claimed_at") - 2 * CLAIM)
    assert hand_out(sample, ada, 2) == held


def test_double_items_are_read_by_two_people(ada: User, bob: User) -> None:
    sample = make_sample(items=2, doubles=(2,))
    for item in hand_out(sample, ada, 2):
        answer(sample, item.pk, user=ada, verdict=Verdict.CANNOT_TELL)
    assert hand_out(sample, ada, 2) == []
    assert progress(sample).done == 1
    assert (waiting_for_others(sample, ada), handed_to_others(sample, ada)) == (1, 0)
    (item,) = hand_out(sample, bob, 2)
    assert item.position == 2
    answer(sample, item.pk, user=bob, verdict=Verdict.CANNOT_TELL)
    assert hand_out(sample, make_user(), 2) == []
    assert progress(sample)[:3] == (2, 2, 0)
    assert waiting_for_others(sample, ada) == 0
    assert progress(sample).readers == [("Ada", 2), ("Bob", 1)]


def test_what_one_person_skips_others_get(ada: User, bob: User) -> None:
    sample = make_sample(items=2)
    skip_all(sample, ada)
    assert hand_out(sample, ada, 2) == []
    assert positions(hand_out(sample, bob, 1)) == [1]
    assert take_up_skipped(sample, ada) == 2
    assert positions(hand_out(sample, ada, 2)) == [2], "the other person holds the first"


def test_an_occurrence_that_is_gone_is_skipped(ada: User) -> None:
    sample = make_sample(items=3)
    held = hand_out(sample, ada, 2)
    held[0].occurrence.delete()
    with pytest.raises(GoneError, match="was deleted, merged into another one, or moved"):
        answer(sample, held[0].pk, user=ada, verdict=Verdict.CANNOT_TELL)
    assert positions(hand_out(sample, ada, 2)) == [2, 3]
    assert progress(sample)[:3] == (3, 0, 1)


def test_an_occurrence_of_another_project_by_now_is_skipped(ada: User) -> None:
    sample = make_sample(items=2)
    held = hand_out(sample, ada, 1)[0]
    Occurrence.objects.filter(pk=held.occurrence_id).update(project=make_project())
    with pytest.raises(GoneError, match="moved to another project"):
        answer(sample, held.pk, user=ada, taxon=make_species("Zale lunata"))
    assert not Identification.objects.exists()
    assert positions(hand_out(sample, ada, 2)) == [2]
    assert progress(sample)[:3] == (2, 0, 1)


def test_an_item_that_nobody_can_read_a_second_time_does_not_stop_the_progress(ada: User) -> None:
    sample = make_sample(items=1, doubles=(1,))
    answer(sample, next_of(sample, ada).pk, user=ada, verdict=Verdict.CANNOT_TELL)
    assert progress(sample)[:3] == (1, 0, 0)
    Occurrence.objects.all().delete()
    assert progress(sample)[:3] == (1, 0, 1)


def test_undo_takes_back_any_number_of_answers(ada: User, bob: User) -> None:
    sample = make_sample(items=3)
    before = [item.occurrence.determination for item in sample.items.order_by("position")]
    answer(sample, next_of(sample, ada).pk, user=ada, taxon=make_species("Zale lunata"))
    answer(sample, next_of(sample, ada).pk, user=ada, verdict=Verdict.SKIPPED)
    answer(sample, next_of(sample, bob).pk, user=bob, verdict=Verdict.SKIPPED)
    skipped, named = undo(sample, ada), undo(sample, ada)
    assert skipped
    assert named
    assert (skipped.position, named.position) == (2, 1)
    # A person was told the name after an answer, but not after skipping.
    assert (skipped.is_seen, named.is_seen) == (False, True)  # type: ignore[attr-defined]
    assert undo(sample, ada) is None
    assert Judgement.objects.filter(withdrawn=False).count() == 1
    assert [one.withdrawn for one in Identification.objects.all()] == [True]
    assert [item.occurrence.determination for item in sample.items.order_by("position")] == before
    assert positions(hand_out(sample, ada, 2)) == [1, 2]
    assert not answer(sample, named.pk, user=ada, taxon=make_species("Zale galbanata")).blind


def test_the_same_answer_twice_is_kept_once(ada: User) -> None:
    sample = make_sample()
    item, named = next_of(sample, ada), make_species("Zale lunata")
    first = answer(sample, item.pk, user=ada, taxon=named)
    assert answer(sample, item.pk, user=ada, taxon=named) == first
    assert Identification.objects.count() == 1


def test_another_answer_replaces_the_former_one(ada: User) -> None:
    sample = make_sample()
    item = next_of(sample, ada)
    answer(sample, item.pk, user=ada, taxon=make_species("Zale lunata"))
    said = answer(sample, item.pk, user=ada, taxon=item.taxon)
    assert (said.verdict, said.blind) == ("right", False), "the person was told the name"
    assert [one.withdrawn for one in Judgement.objects.order_by("pk")] == [True, False]
    assert [one.withdrawn for one in Identification.objects.order_by("pk")] == [True, False]
    item.occurrence.refresh_from_db()
    assert item.occurrence.determination == item.taxon


def test_an_answer_is_taken_back_with_its_identification(ada: User, client: Client) -> None:
    sample = make_sample(items=1, blind=False)
    item = next_of(sample, ada)
    said = answer(sample, item.pk, user=ada, verdict=Verdict.RIGHT)
    User.objects.filter(pk=ada.pk).update(is_staff=True, is_superuser=True)
    client.force_login(ada)
    page = reverse("admin:main_occurrence_identify", args=[item.occurrence_id])
    client.post(page, {"withdraw": said.identification_id})
    assert progress(sample).done == 0
    assert result_of(sample).answered == 0
    assert undo(sample, ada) is None
    assert hand_out(sample, ada, 1) == [item]
    again = answer(sample, item.pk, user=ada, verdict=Verdict.RIGHT)
    assert again.identification
    assert not again.identification.withdrawn


def test_number_of_queries_does_not_grow(ada: User, django_assert_max_num_queries: Any) -> None:
    sample = make_sample(items=30)
    for item in hand_out(sample, ada, 10):
        answer(sample, item.pk, user=ada, verdict=Verdict.CANNOT_TELL)
    named = make_species("Zale lunata")
    (item,) = hand_out(sample, ada, 1)
    with django_assert_max_num_queries(19):
        answer(sample, item.pk, user=ada, taxon=named)
    with django_assert_max_num_queries(4):  # two of them are savepoints
        hand_out(sample, ada, 24)
    with django_assert_max_num_queries(2):
        progress(sample)


def test_item_of_another_sample_is_not_found(ada: User) -> None:
    foreign = make_sample().items.latest("pk")
    assert item_for(make_sample(), ada, foreign.pk) is None

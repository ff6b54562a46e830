"""Which answers of people the effect of a run is measured against, and what they are worth."""

import pytest

from ami.base.tests.factories import make_user
from ami.main.models import Identification, Occurrence
from ami.main.models.identification import INDEPENDENT
from ami.review.effect.machine import names_of
from ami.review.effect.report import effect_of
from ami.review.tests.judged import make_sample
from ami.review.tests.planted import Plan, Tree, apply, make_run, make_tree, plant

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree() -> Tree:
    return make_tree()


def test_the_latest_answer_counts_and_withdrawn_ones_do_not(tree: Tree) -> None:
    plans = [Plan(3, tree.other, tree.species, tree.species)]
    job = make_run(plant(plans))
    first, second, third = Occurrence.objects.order_by("pk")
    first.identifications.update(withdrawn=True)
    later = Identification.objects.create(occurrence=second, taxon=tree.other, user=make_user())
    later.agreed_with_identification = second.identifications.exclude(pk=later.pk).get()
    later.save()
    apply(job, plans)
    names = names_of([job])
    assert names.occurrences.tolist() == [second.pk, third.pk]
    assert names.truth.tolist() == [tree.other.pk, tree.species.pk]
    assert names.independent.tolist() == [tree.species.pk, tree.species.pk]


def test_names_that_stand_for_no_species_are_none_on_both_sides(tree: Tree) -> None:
    plans = [Plan(2, tree.nothing, tree.species, tree.species)]
    job = make_run(plant(plans))
    apply(job, plans)
    assert names_of([job]).before.tolist() == [0, 0]
    assert effect_of([job]).all_answers.moved.named == 2


def test_a_name_is_wrong_where_a_person_cannot_identify(tree: Tree) -> None:
    plans = [Plan(3, tree.other, tree.nothing, tree.nothing), Plan(2, tree.other, None, tree.other)]
    job = make_run(plant(plans))
    apply(job, plans)
    summary = effect_of([job]).all_answers
    assert (summary.moved.silenced, summary.moved.silenced_right) == (3, 0)
    assert [one.before.label for one in summary.taxa] == [tree.other.name], "no species, no class"


def test_answers_of_a_review_that_showed_the_names_are_not_independent(tree: Tree) -> None:
    plans = [Plan(3, tree.other, tree.species, tree.species)]
    job = make_run(plant(plans))
    apply(job, plans)
    sample = make_sample(items=1).pk
    for blind, independent in ((False, 0), (True, 3)):
        Identification.objects.update(sample=sample, blind=blind)
        found = effect_of([job])
        assert (found.all_answers.identified, found.independent.identified) == (3, independent)
        assert Identification.objects.filter(INDEPENDENT).count() == independent
        assert sum(one.is_independent for one in Identification.objects.all()) == independent


def test_a_withdrawn_answer_does_not_hide_a_former_one(tree: Tree) -> None:
    job = make_run(plant([Plan(1, tree.other, None, tree.species)]))
    occurrence = Occurrence.objects.get()
    Identification.objects.create(occurrence=occurrence, taxon=tree.other, withdrawn=True)
    names = names_of([job])
    assert (names.truth.tolist(), names.independent.tolist()) == (
        [tree.species.pk],
        [tree.species.pk],
    )

"""The effect of a run against what people say."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_classification, make_project
from ami.jobs.journal.triggers import journaled
from ami.main.models import Classification, Detection, Identification, Occurrence, Taxon
from ami.review.effect.machine import names_of
from ami.review.effect.outcomes import Judge, Outcome
from ami.review.effect.report import Effect, effect_of
from ami.review.models import Sample
from ami.review.populations import find_origin
from ami.review.statistics.shares import estimate
from ami.review.tests.planted import Plan, Tree, apply, make_run, make_tree, plant, rename

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree() -> Tree:
    return make_tree()


def flips(tree: Tree) -> list[Plan]:
    """1,000 occurrences: each kind of change, and independent and agreeing people."""
    t = tree
    return [
        Plan(25, t.other, t.species, t.species),  # corrected
        Plan(5, t.other, t.genus, t.species, agreed=True),  # corrected, coarser
        Plan(9, t.species, t.sister, t.species),  # regressed
        Plan(3, t.species, t.genus, t.species),  # coarsened
        Plan(4, t.family, t.species, t.species),  # sharpened
        Plan(6, t.other, t.nothing, t.species),  # silenced, and was wrong
        Plan(2, t.species, t.nothing, t.species),  # silenced, and was right
        Plan(7, None, t.species, t.species),  # named, rightly
        Plan(1, None, t.other, t.species, agreed=True),  # named, wrongly
        Plan(538, t.species, t.species, t.species),
        Plan(300, t.species, t.species, t.species, agreed=True),
        Plan(60, t.species, t.sister, t.genus),  # exact at the rank of the person's genus
        Plan(40, t.other, t.sister, t.species),  # wrong before and after
    ]


def planted(tree: Tree, **fields: Any) -> Effect:
    plans = flips(tree)
    job = make_run(plant(plans), **fields)
    if fields.get("dry_run"):
        with transaction.atomic():
            apply(job, plans)
            changes = list(job.changes.all())
            transaction.set_rollback(True)
        type(changes[0]).objects.bulk_create(changes)
    else:
        apply(job, plans)
    return effect_of([job])


@pytest.mark.parametrize("dry_run", [False, True])
def test_planted_flips_are_counted_exactly(tree: Tree, dry_run: bool) -> None:
    found = planted(tree, dry_run=dry_run)
    every = found.all_answers
    assert found.identified == 1000
    assert every.changed == estimate(25 + 5 + 9 + 3 + 4 + 8 + 8 + 60 + 40, 1000)
    assert every.moved._asdict() == {
        "corrected": 30,
        "regressed": 9,
        "coarsened": 3,
        "sharpened": 4,
        "silenced": 8,
        "silenced_right": 2,
        "named": 8,
        "named_right": 7,
        "unchanged": 938,
    }
    assert every.table == [[898, 3, 9, 2], [4, 0, 0, 0], [25, 5, 40, 6], [7, 0, 1, 0]]
    assert every.p == pytest.approx(0.00106502, abs=1e-8)
    only = found.independent
    assert (only.identified, only.moved.corrected, only.moved.regressed) == (694, 25, 9)
    assert only.changed == estimate(25 + 9 + 3 + 4 + 6 + 2 + 7 + 60 + 40, 694)
    assert only.p == pytest.approx(0.00904118, abs=1e-8)


def test_scores_tell_coverage_and_accuracy_apart(tree: Tree) -> None:
    summary = planted(tree).all_answers
    before, after = summary.before, summary.after
    assert before.coverage
    assert before.accuracy
    assert before.exact
    assert after.coverage
    assert after.accuracy
    assert after.exact
    assert (before.coverage.share, after.coverage.share) == (0.992, 0.992)
    assert before.accuracy.share == pytest.approx(916 / 992)
    assert after.accuracy.share == pytest.approx(942 / 992)
    assert before.exact.share == pytest.approx(912 / 992)
    difference, by_night = summary.difference, summary.by_night
    assert difference
    assert by_night
    assert difference.difference == pytest.approx(21 / 984) == by_night.difference
    assert difference.low < difference.difference < difference.high
    assert by_night.low < by_night.difference < by_night.high


def test_ranks_and_taxa_have_precision_and_recall(tree: Tree) -> None:
    plans = [
        Plan(6, tree.species, tree.species, tree.species),
        Plan(3, tree.sister, tree.genus, tree.species),
        Plan(1, tree.other, tree.nothing, tree.species),
    ]
    job = make_run(plant(plans))
    apply(job, plans)
    found = effect_of([job]).all_answers
    ranks = {one.before.label: one for one in found.ranks}
    assert set(ranks) == {"Family", "Genus", "Species"}
    species, genus = ranks["Species"], ranks["Genus"]
    assert species.before.precision
    assert species.after.precision
    assert species.after.recall
    assert species.before.precision.share == 0.6
    assert (species.after.precision.share, species.after.precision.n) == (1.0, 6)
    assert (species.after.recall.share, species.after.recall.n) == (0.6, 10)
    assert genus.after.precision
    assert genus.after.recall
    assert (genus.after.precision.share, genus.after.recall.share) == (1.0, 0.9)
    taxa = {one.before.label: one for one in found.taxa}
    assert set(taxa) == {"Zale lunata", "Zale minerea", "Catocala ilia", "Zale"}
    sister = taxa["Zale minerea"]
    assert sister.before.precision
    assert sister.before.precision.too_few
    assert (sister.before.precision.share, sister.before.recall) == (0.0, None)


def test_bands_hold_the_scores_of_the_input(tree: Tree) -> None:
    plans = [Plan(2, tree.other, tree.species, tree.species)]
    job = make_run(plant(plans, score=0.35))
    Classification.objects.filter(pk=Classification.objects.earliest("pk").pk).update(score=1.0)
    apply(job, plans)
    bands = effect_of([job]).all_answers.bands
    assert [(band.low, band.high, band.moved.corrected) for band in bands] == [
        (0.3, 0.4, 1),
        (0.9, 1.0, 1),
    ]


def machine_names() -> dict[int, int]:
    """What the rule gives by classifications alone, occurrence by occurrence."""
    found = {}
    for occurrence in Occurrence.objects.filter(identifications__withdrawn=False).distinct():
        rows = Classification.objects.filter(detection__occurrence=occurrence).best_first()
        best = rows.select_related("taxon").first()
        named = best is not None and best.taxon is not None and best.taxon.identifiable
        found[occurrence.pk] = best.taxon_id or 0 if best and named else 0
    return found


def assert_effect(jobs: list[Any], before: dict[int, int], after: dict[int, int]) -> None:
    names = names_of(jobs)
    occurrences = names.occurrences.tolist()
    assert dict(zip(occurrences, names.before.tolist(), strict=True)) == before
    assert dict(zip(occurrences, names.after.tolist(), strict=True)) == after


def test_what_happened_later_is_undone(tree: Tree) -> None:
    """A later run, and a revert, change neither side of the effect of the first one."""
    capture_set = plant([Plan(4, tree.other, None, tree.species)])
    ids = list(Occurrence.objects.order_by("pk").values_list("pk", flat=True))
    start = machine_names()
    first, second, undoing = (make_run(capture_set) for _ in range(3))
    rename(first, dict.fromkeys(ids[:3], tree.species))
    middle = machine_names()
    rename(second, dict.fromkeys(ids, tree.sister))
    end = machine_names()
    assert_effect([first], start, middle)
    assert_effect([second], middle, end)
    assert_effect([first, second], start, end)
    with journaled(undoing):
        made = Classification.objects.filter(job__in=[first, second])
        made.filter(job=second).delete()
        made.filter(job=first).delete()
        Classification.objects.update(terminal=True)
    assert_effect([first], start, middle)
    assert_effect([second], middle, end)
    assert_effect([undoing], end, start)
    second.delete()


def test_a_row_that_was_changed_twice_has_its_first_value_before(tree: Tree) -> None:
    capture_set = plant([Plan(1, tree.other, None, tree.species)])
    start = machine_names()
    first, second = make_run(capture_set), make_run(capture_set)
    states = [start]
    for job, names in ((first, [tree.genus, tree.sister]), (second, [tree.family, tree.species])):
        for name in names:
            with journaled(job):
                Classification.objects.update(taxon=name)
        states.append(machine_names())
    assert_effect([first], *states[:2])
    assert_effect([second], *states[1:])
    assert_effect([first, second], states[0], states[2])


def test_merged_individuals_keep_both_answers(tree: Tree) -> None:
    """Before the merge each has its own name; after it, both have that of the keeper."""
    capture_set = plant([Plan(2, tree.other, None, tree.species)])
    keeper, gone = Occurrence.objects.order_by("pk")
    ids = [keeper.pk, gone.pk]
    make_classification(
        detection=keeper.detections.get(), taxon=tree.species, score=0.99, terminal=True
    )
    job = make_run(capture_set)
    before = machine_names()
    with journaled(job):
        Detection.objects.filter(occurrence=gone).update(occurrence=keeper)
        Identification.objects.filter(occurrence=gone).update(occurrence=keeper)
        gone.delete()
    after = dict.fromkeys(before, tree.species.pk)
    assert before == dict(zip(ids, [tree.species.pk, tree.other.pk], strict=True))
    assert_effect([job], before, after)


def test_a_job_without_identified_rows_has_no_effect(tree: Tree) -> None:
    capture_set = plant([Plan(2, tree.other, None, tree.species)])
    Identification.objects.all().delete()
    job = make_run(capture_set)
    found = effect_of([job])
    assert (found.identified, found.all_answers.identified) == (0, 0)
    assert found.all_answers.changed is None
    assert found.all_answers.before.accuracy is None
    assert found.all_answers.difference is None
    assert found.all_answers.p == 1.0


def test_rows_of_other_projects_are_not_compared(tree: Tree) -> None:
    capture_set = plant([Plan(4, tree.other, tree.species, tree.species)])
    job = make_run(capture_set)
    apply(job, [Plan(4, tree.other, tree.species, tree.species)])
    moved = Occurrence.objects.order_by("pk")[:3].values("pk")
    Occurrence.objects.filter(pk__in=moved).update(project=make_project())
    assert effect_of([job]).all_answers.moved.corrected == 1
    job.project = None  # it is for superusers
    assert effect_of([job]).all_answers.moved.corrected == 4


@pytest.mark.parametrize(
    "params", [{}, [], {"config": None}, {"config": {"source_image_collection_id": "x"}}]
)
def test_malformed_parameters_name_no_scope(tree: Tree, params: Any) -> None:
    plans = [Plan(2, tree.other, tree.species, tree.species)]
    job = make_run(plant(plans), params=params)
    apply(job, plans)
    assert effect_of([job]).all_answers.moved.corrected == 2, "by what it changed"
    assert Sample.Strata.RUN not in find_origin("job", source_id=job.pk).strata


def test_other_jobs_are_compared_on_what_they_changed(tree: Tree) -> None:
    capture_set = plant([Plan(3, tree.other, None, tree.species)])
    ids = list(Occurrence.objects.order_by("pk").values_list("pk", flat=True))
    job = make_run(capture_set, job_type_key="revert", params={})
    rename(job, dict.fromkeys(ids[:2], tree.species))
    assert names_of([job]).occurrences.tolist() == ids[:2]


def test_queries_do_not_grow_with_the_rows(tree: Tree) -> None:
    def queries(number: int) -> int:
        plans = [Plan(number, tree.other, tree.species, tree.species)]
        job = make_run(plant(plans))
        ids = Occurrence.objects.order_by("-pk").values_list("pk", flat=True)[:number]
        rename(job, dict.fromkeys(ids, tree.species))
        with CaptureQueriesContext(
            connection,
        ) as seen:
            effect_of([job])
        return len(seen)

    assert queries(3) == queries(60)


class TestJudge:
    def test_names_are_compared_at_the_rank_of_the_person(self, tree: Tree) -> None:
        judge = Judge(taxon.pk for taxon in tree)

        def judged(name: Taxon, truth: Taxon) -> Outcome:
            return judge.outcome(name.pk, truth.pk)

        assert judged(tree.species, tree.species) == Outcome.EXACT
        assert judged(tree.species, tree.genus) == Outcome.EXACT
        assert judged(tree.genus, tree.species) == Outcome.ANCESTOR
        assert judged(tree.family, tree.genus) == Outcome.ANCESTOR
        assert judged(tree.sister, tree.species) == Outcome.WRONG
        assert judged(tree.other, tree.genus) == Outcome.WRONG
        assert judge.outcome(0, tree.species.pk) == Outcome.NO_NAME

    def test_synonyms_are_their_accepted_names(self, tree: Tree) -> None:
        old = Taxon.objects.create(name="Phalaena lunata", synonym_of=tree.species)
        judge = Judge([old.pk, tree.species.pk, tree.genus.pk])
        assert judge.outcome(old.pk, tree.species.pk) == Outcome.EXACT
        assert judge.outcome(tree.genus.pk, old.pk) == Outcome.ANCESTOR

    def test_a_taxon_that_does_not_exist_is_no_name(self, tree: Tree) -> None:
        judge = Judge([tree.species.pk])
        assert judge.outcome(10**9, tree.species.pk) == Outcome.NO_NAME

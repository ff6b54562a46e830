"""Many values of an option, tried on the identified occurrences."""

from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ami.main.models import (
    Classification,
    Identification,
    SourceImageCollection,
)
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.review.admin.variables import Variable
from ami.review.sweep import one_pass
from ami.review.sweep.result import Sweep, sweep
from ami.review.sweep.run import Tried, try_values
from ami.review.tests.judged import make_sample
from ami.review.tests.planted import Tree, make_sizes, make_tree
from ami.review.tests.test_effect import machine_names
from ami.testing.records import exactly, rows

pytestmark = pytest.mark.django_db
THRESHOLDS = (0.0005, 0.002, 0.005, 0.02)


@pytest.fixture
def tree() -> Tree:
    return make_tree()


def tried(capture_set: SourceImageCollection, **options: Any) -> Tried:
    configs = [
        {"size_threshold": value, "source_image_collection_id": capture_set.pk}
        for value in THRESHOLDS
    ]
    return try_values(
        SmallSizeFilterTask, configs, Chosen(SCOPES[0], [capture_set.pk], foreign=[]), **options
    )


def swept(found: Tried) -> Sweep:
    return sweep(found, [(value, str(value)) for value in THRESHOLDS])


def test_each_value_gives_the_names_of_a_run(tree: Tree) -> None:
    capture_set = make_sizes(tree)
    before = exactly(rows())
    found = tried(capture_set)
    assert exactly(rows()) == before, "nothing is written"
    occurrences = found.answers.occurrences.tolist()
    assert dict(zip(occurrences, found.before.tolist(), strict=True)) == machine_names()
    for value, names in zip(THRESHOLDS, found.after, strict=True):
        with transaction.atomic():
            SmallSizeFilterTask(
                size_threshold=value, source_image_collection_id=capture_set.pk
            ).run()
            assert dict(zip(occurrences, names.tolist(), strict=True)) == machine_names()
            transaction.set_rollback(True)


def test_values_are_compared_with_independent_answers(tree: Tree) -> None:
    capture_set = make_sizes(tree)
    said = list(Identification.objects.order_by("pk"))[:30]
    for row in said:
        row.agreed_with_prediction = Classification.objects.get(
            detection__occurrence=row.occurrence
        )
        row.save()
    result = swept(tried(capture_set))
    assert (result.is_independent, result.occurrences, result.total) == (True, 60, 60)
    for point in result.points:
        assert (point.all_answers.identified, point.independent.identified) == (60, 30)
    silenced = [point.all_answers.moved.silenced for point in result.points]
    assert silenced == sorted(silenced)
    assert silenced[0] < silenced[-1]
    Identification.objects.update(agreed_with_prediction=Classification.objects.earliest("pk").pk)
    assert not swept(tried(capture_set)).is_independent
    Identification.objects.update(
        agreed_with_prediction=None, sample=make_sample(items=1).pk, blind=False
    )
    assert not swept(tried(capture_set)).is_independent
    Identification.objects.update(blind=True)
    assert swept(tried(capture_set)).is_independent


def test_the_best_value_is_chosen_on_one_half_and_reported_on_the_other(tree: Tree) -> None:
    """Boxes below the area of the first third are wrong, so a threshold there is best."""
    best = swept(tried(make_sizes(tree, 240))).best
    assert best
    assert best.value == 0.002
    assert best.chosen_on + best.reported.identified == 240
    assert best.reported.moved.silenced > 0
    assert swept(tried(SourceImageCollection.objects.get())).best == best, "it is deterministic"


def test_the_present_value_is_best_unless_another_is_better(tree: Tree) -> None:
    found = tried(make_sizes(tree, 240))
    best = swept(found).best
    assert best
    values = [(value, str(value)) for value in (*THRESHOLDS, 0.5)]
    place = THRESHOLDS.index(best.value)
    equal = found._replace(after=[*found.after, found.after[place]])
    for present, told in ((0.5, 0.5), (THRESHOLDS[0], best.value), (None, best.value)):
        chosen = sweep(equal, values, present=present).best
        assert chosen
        assert chosen.value == told


def test_of_values_with_as_many_right_names_the_one_with_the_most_exact_is_best(tree: Tree) -> None:
    found = tried(make_sizes(tree, 240))
    exact, coarse, wrong = (np.full(240, one.pk) for one in (tree.species, tree.genus, tree.other))
    values = [(name, name) for name in ("wrong", "coarse", "exact")]
    for present in (None, "coarse"):
        best = sweep(found._replace(after=[wrong, coarse, exact]), values, present=present).best
        assert best
        assert best.value == "exact"


def test_values_that_are_equally_good_have_no_best_one(tree: Tree) -> None:
    found = tried(make_sizes(tree, 240))
    result = swept(found._replace(after=[found.before] * len(THRESHOLDS)))
    assert (result.best, result.is_even, result.is_flat) == (None, True, True)
    other = np.where(found.answers.occurrences % 2, tree.genus.pk, tree.species.pk)
    assert not swept(found._replace(after=[found.before] * 3 + [other])).is_flat


def test_few_answers_have_no_best_value(tree: Tree) -> None:
    result = swept(tried(make_sizes(tree, 30)))
    assert (result.best, result.total) == (None, 30)


def test_without_answers_nothing_is_compared(tree: Tree) -> None:
    capture_set = make_sizes(tree)
    Identification.objects.all().delete()
    result = swept(tried(capture_set))
    assert (result.total, result.points[0].all_answers.identified) == (0, 0)
    assert result.points[0].all_answers.accuracy is None


def test_a_sample_is_compared_if_the_time_does_not_suffice(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_pass, "FEW", 20)
    found = tried(make_sizes(tree, 90), seconds=1e-9)
    assert (len(found.before), found.answers.total) == (20, 90)
    assert not swept(found).is_whole
    assert [len(names) for names in found.after] == [20] * 4


def test_queries_do_not_grow_with_the_rows(tree: Tree) -> None:
    def queries(number: int) -> int:
        capture_set = make_sizes(tree, number)
        with CaptureQueriesContext(connection) as seen:
            tried(capture_set, seconds=1e6)
        return len(seen)

    assert queries(6) == queries(60)


class TestValues:
    VARIABLE = Variable("size_threshold", "Size", ("size_threshold",), is_logarithmic=True)

    def test_a_logarithmic_range_has_equal_ratios(self) -> None:
        values = [value for value, _ in self.VARIABLE.values(0.001, 0.1, 5)]
        assert np.allclose(values, [0.001, 0.00316, 0.01, 0.0316, 0.1])

    def test_whole_numbers_are_not_repeated(self) -> None:
        whole = self.VARIABLE._replace(is_whole=True)
        assert whole.values(1, 4, 20) == [(1, "1"), (2, "2"), (3, "3"), (4, "4")]

    def test_the_present_value_is_tried_if_it_lies_in_the_range(self) -> None:
        values = [value for value, _ in self.VARIABLE.values(0.001, 0.1, 3, present=0.0123456)]
        assert values == [0.001, 0.01, 0.0123456, 0.1]
        whole = self.VARIABLE._replace(is_whole=True)
        assert whole.values(1, 9, 2, present=4) == [(1, "1"), (4, "4"), (9, "9")]
        for present in (None, 0.5):
            assert len(self.VARIABLE.values(0.001, 0.1, 3, present=present)) == 3

    def test_a_number_in_a_mapping_is_put_in_its_place(self) -> None:
        one = Variable("thresholds_GENUS", "Genus", ("thresholds", "GENUS"))
        config = {"thresholds": {"SPECIES": 0.8}}
        assert one.present(config) is None
        assert one.put(config, 0.5) == {"thresholds": {"SPECIES": 0.8, "GENUS": 0.5}}
        assert config == {"thresholds": {"SPECIES": 0.8}}

"""`make_classifications_filtered_by_taxa_list`, the function of class masking for other code."""

from typing import Any

import pytest

from ami.base.tests.factories import make_algorithm
from ami.base.tests.snapshots import snapshot
from ami.jobs.states import JobFailedError
from ami.main.models import Classification, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking import (
    ClassMaskingTask,
    make_classifications_filtered_by_taxa_list,
)
from ami.ml.post_processing.tests.vectors import (
    make_classifier,
    make_list,
    make_source,
    make_species,
    run,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def classifier() -> Algorithm:
    make_species("a", "b", "c")
    return make_classifier("a", "b", "c", "nobody")


def figures(**changed: int) -> dict[str, int]:
    return dict.fromkeys(ClassMaskingTask.counters, 0) | {"labels_unresolved": 1} | changed


def test_batches_are_told_as_they_end(classifier: Algorithm) -> None:
    for _ in range(5):
        make_source(classifier, logits=[1.0, 2.0, 3.0, 0.0])
    make_source(classifier, logits=[1.0])
    setups: list[int] = []
    batches: list[dict[str, int]] = []
    author = make_algorithm()
    counts = make_classifications_filtered_by_taxa_list(
        Classification.objects.all(),
        make_list(*Taxon.objects.filter(name__in=["a", "b"])),
        classifier,
        author,
        batch_size=2,
        on_setup=setups.append,
        on_batch=batches.append,
    )
    assert setups == [6]
    assert [batch["classifications_masked"] for batch in batches] == [2, 4, 5]
    assert (
        counts
        == batches[-1]
        == {
            **figures(
                classifications_checked=6,
                classifications_masked=5,
                taxa_changed=5,
                occurrences_updated=5,
            ),
            "Skipped: logits of another length than the category map": 1,
        }
    )
    assert Classification.objects.filter(algorithm=author, terminal=True).count() == 5


def test_writes_what_the_method_writes(classifier: Algorithm) -> None:
    taxa_list = make_list(*Taxon.objects.filter(name__in=["a", "b"]))
    source = make_source(classifier, logits=[1.0, 2.0, 3.0, 0.0])
    rows: list[Any] = []
    for reweight in (True, False):
        Classification.objects.filter(pk=source.pk).update(terminal=True)
        make_classifications_filtered_by_taxa_list(
            Classification.objects.filter(pk=source.pk),
            taxa_list,
            classifier,
            make_algorithm(),
            reweight=reweight,
        )
        rows.append(Classification.objects.latest("pk"))
        Classification.objects.filter(pk=source.pk).update(terminal=True)
        run(
            ClassMaskingTask,
            taxa_list_id=taxa_list.pk,
            algorithm_id=classifier.pk,
            reweight=reweight,
        )
        rows.append(Classification.objects.latest("pk"))
    compared = [
        (row.taxon, row.score, row.scores, row.logits, row.metadata, row.applied_to) for row in rows
    ]
    assert compared[0] == compared[1] != compared[2] == compared[3]


def test_only_the_given_rows_are_masked(classifier: Algorithm) -> None:
    given, other = (make_source(classifier, logits=[1.0, 2.0, 3.0, 0.0]) for _ in range(2))
    make_classifications_filtered_by_taxa_list(
        Classification.objects.filter(pk=given.pk),
        make_list(Taxon.objects.get(name="a")),
        classifier,
        make_algorithm(),
    )
    other.refresh_from_db()
    assert other.terminal
    assert given.derived_classifications.exists()


def test_nothing_is_written_where_no_class_stays(classifier: Algorithm) -> None:
    make_source(classifier, logits=[1.0, 2.0, 3.0, 0.0])
    author = make_algorithm()
    before = snapshot(Classification)
    with pytest.raises(JobFailedError, match="holds no class of"):
        make_classifications_filtered_by_taxa_list(
            Classification.objects.all(), make_list(), classifier, author
        )
    assert snapshot(Classification) == before

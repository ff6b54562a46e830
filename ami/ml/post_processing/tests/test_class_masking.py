import math

import pytest
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.base.tests.snapshots import snapshot
from ami.jobs.states import JobFailedError
from ami.jobs.tests.job_types import make_job
from ami.main.models import Classification, Identification, Occurrence, TaxaList, Taxon
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.tests.derived_reference import plain_softmax
from ami.ml.post_processing.tests.masking import classifier, mask, result, some
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_map,
    make_source,
    make_species,
    run,
)

__all__ = ["classifier", "some"]
pytestmark = pytest.mark.django_db


def test_classes_off_the_list_are_excluded(classifier: Algorithm, some: TaxaList) -> None:
    source = make_source(
        classifier,
        logits=[1.0, 2.0, 3.0],
        scores=[0.1, 0.2, 0.7],
        taxon=Taxon.objects.get(name="c"),
    )
    assert mask(some, classifier) == {
        "classifications_checked": 1,
        "classifications_masked": 1,
        "taxa_changed": 1,
        "occurrences_updated": 1,
    }
    new = result(source)
    assert str(new.taxon) == "b"
    assert new.scores == pytest.approx([*plain_softmax([1.0, 2.0]), 0.0])
    assert new.scores is not None
    assert (new.scores[2], new.score) == (0.0, new.scores[1])
    assert new.logits == [1.0, 2.0, 3.0]
    assert new.category_map == classifier.category_map
    assert new.metadata["removed_mass"] == pytest.approx(plain_softmax([1.0, 2.0, 3.0])[2])
    source.refresh_from_db()
    assert not source.terminal
    assert source.logits == [1.0, 2.0, 3.0]
    occurrence = new.detection.occurrence
    assert occurrence
    assert (occurrence.determination, occurrence.determination_score) == (new.taxon, new.score)


def test_without_reweighting_the_shares_stay(classifier: Algorithm, some: TaxaList) -> None:
    source = make_source(classifier, logits=[1.0, 2.0, 3.0])
    mask(some, classifier, reweight=False)
    new = result(source)
    assert new.scores == pytest.approx([*plain_softmax([1.0, 2.0, 3.0])[:2], 0.0])
    assert new.score == pytest.approx(plain_softmax([1.0, 2.0, 3.0])[1])


@pytest.mark.parametrize(("reweight", "how"), [(True, "reweighted"), (False, "absolute")])
def test_derived_algorithm_is_named_after_source_and_list(
    classifier: Algorithm, some: TaxaList, reweight: bool, how: str
) -> None:
    source = make_source(classifier, logits=[1.0, 2.0, 3.0])
    mask(some, classifier, reweight=reweight)
    algorithm = result(source).algorithm
    assert algorithm
    assert algorithm.key == f"{classifier.key}_filtered_by_taxa_list_{some.pk}_{how}"
    assert (algorithm.category_map, algorithm.version) == (classifier.category_map, 2)


def test_long_names_are_cut_and_long_keys_refused(classifier: Algorithm, some: TaxaList) -> None:
    Algorithm.objects.filter(pk=classifier.pk).update(name="n" * 255)
    source = make_source(classifier, logits=[1.0, 2.0, 3.0])
    mask(some, classifier)
    algorithm = result(source).algorithm
    assert algorithm
    assert len(algorithm.name) == 255
    Algorithm.objects.filter(pk=classifier.pk).update(key="k" * 255)
    with pytest.raises(JobFailedError, match=f"Shorten the key of algorithm {classifier.pk} by "):
        mask(some, classifier)


@pytest.mark.parametrize("option", ["taxa_list_id", "algorithm_id"])
def test_row_that_is_gone_is_told(classifier: Algorithm, some: TaxaList, option: str) -> None:
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    options = {"taxa_list_id": some.pk, "algorithm_id": classifier.pk, option: 2**40}
    with pytest.raises(JobFailedError, match=f"{2**40} no longer exists"):
        run(ClassMaskingTask, **options)


@pytest.mark.parametrize("reweight", [True, False])
@pytest.mark.parametrize(
    "logits", [[0.0, -1000.0, 1000.0], [-1e308, -1e308, 1e308], [-5e-324, 0.0, 800.0]]
)
def test_winner_is_kept_however_small_its_share(
    classifier: Algorithm, some: TaxaList, logits: list[float], reweight: bool
) -> None:
    source = make_source(classifier, logits=logits)
    counts = mask(some, classifier, reweight=reweight)
    new = result(source)
    assert str(new.taxon) == ("b" if logits[1] > logits[0] else "a")
    assert new.scores is not None
    assert all(map(math.isfinite, new.scores))
    assert sum(new.scores) == pytest.approx(1 if reweight else 0)
    assert counts["likely_off_list"] == 1


def test_first_of_equal_classes_wins(classifier: Algorithm, some: TaxaList) -> None:
    source = make_source(classifier, logits=[1.0, 1.0, 1.0])
    mask(some, classifier)
    assert str(result(source).taxon) == "a"


@pytest.mark.parametrize("masked", [-30.0, -1000.0])
def test_masking_that_moves_nothing_writes_nothing(
    classifier: Algorithm, some: TaxaList, masked: float
) -> None:
    source = make_source(classifier, logits=[1.0, 2.0, masked])
    before = snapshot(Classification, Occurrence)
    assert mask(some, classifier) == {"classifications_checked": 1}
    assert snapshot(Classification, Occurrence) == before
    assert not source.derived_classifications.exists()


def test_likely_off_list_is_counted(classifier: Algorithm, some: TaxaList) -> None:
    for _ in range(2):
        make_source(classifier, logits=[0.0, 0.0, 9.0])
    make_source(classifier, logits=[2.0, 2.0, 2.0])
    assert mask(some, classifier)["likely_off_list"] == 2


def test_names_that_stay_can_be_left_alone(classifier: Algorithm, some: TaxaList) -> None:
    a, c = Taxon.objects.get(name="a"), Taxon.objects.get(name="c")
    same = make_source(classifier, logits=[3.0, 2.0, 2.5], taxon=a)
    changed = make_source(classifier, logits=[2.0, 1.0, 3.0], taxon=c)
    counts = mask(some, classifier, only_when_taxon_changes=True)
    assert (counts["classifications_checked"], counts["classifications_masked"]) == (2, 1)
    assert result(changed).taxon == a
    same.refresh_from_db()
    assert same.terminal


def test_other_rows_are_left_alone(classifier: Algorithm, some: TaxaList) -> None:
    detection = make_detection(occurrence=make_occurrence())
    others = [
        make_source(make_algorithm(), logits=[1.0, 2.0, 3.0], detection=detection),
        make_source(classifier, detection=detection),  # without logits
        make_source(classifier, logits=[1.0, 2.0, 3.0], terminal=False, detection=detection),
        make_source(None, logits=[1.0, 2.0, 3.0], detection=detection),
    ]
    assert mask(some, classifier) == {}
    assert not Classification.objects.filter(applied_to__in=others).exists()


def test_second_run_writes_nothing(classifier: Algorithm, some: TaxaList) -> None:
    for logits in ([1.0, 2.0, 3.0], [9.0, 2.0, -30.0]):
        make_source(classifier, logits=logits)
    capture_set = everything()
    mask(some, classifier, source_image_collection_id=capture_set.pk)
    before = snapshot(Classification, Occurrence, Algorithm)
    counts = mask(some, classifier, source_image_collection_id=capture_set.pk)
    assert counts == {"classifications_checked": 1}  # the one that nothing was moved of
    assert snapshot(Classification, Occurrence, Algorithm) == before


def test_edited_list_supersedes_its_former_result(classifier: Algorithm, some: TaxaList) -> None:
    source = make_source(classifier, logits=[1.0, 2.0, 3.0])
    mask(some, classifier)
    former = result(source)
    some.taxa.set(Taxon.objects.filter(name__in=["a", "c"]))
    assert mask(some, classifier)["classifications_masked"] == 1
    new = result(source)
    assert str(new.taxon) == "c"
    assert new.scores == pytest.approx(
        [plain_softmax([1.0, 3.0])[0], 0.0, plain_softmax([1.0, 3.0])[1]]
    )
    former.refresh_from_db()
    assert not former.terminal
    assert former.algorithm == new.algorithm
    some.taxa.add(Taxon.objects.get(name="b"))  # nothing is masked now, but the former stands
    mask(some, classifier)
    assert result(source).scores == pytest.approx(plain_softmax([1.0, 2.0, 3.0]))
    assert mask(some, classifier) == {}


def test_what_another_method_has_superseded_is_left_to_it(
    classifier: Algorithm, some: TaxaList
) -> None:
    source = make_source(classifier, logits=[1.0, 2.0, 3.0])
    mask(some, classifier)
    Classification.objects.filter(applied_to=source).update(terminal=False)
    some.taxa.set(Taxon.objects.filter(name="a"))
    assert mask(some, classifier) == {}


def test_rows_of_every_kind_of_fault_are_skipped_by_reason_and_the_rest_is_done(
    classifier: Algorithm, some: TaxaList, caplog: pytest.LogCaptureFixture
) -> None:
    nan, infinite = float("nan"), float("inf")
    for logits in ([1.0, 2.0], [1.0, 2.0, 3.0, 4.0], []):
        make_source(classifier, logits=logits)
    for odd in (nan, infinite, -infinite, None):
        make_source(classifier, logits=[1.0, odd, 3.0])
    empty = AlgorithmCategoryMap.objects.create()
    bare = make_source(classifier, logits=[1.0, 2.0, 3.0], category_map=empty)
    make_source(classifier, logits=[1.0, 2.0], category_map=make_map("x", "y"))
    sound = make_source(classifier, logits=[1.0, 2.0, 3.0])
    nameless = make_source(classifier, logits=[1.0, 2.0, 3.0])
    loose = make_source(classifier, logits=[1.0, 2.0, 3.0], detection=make_detection())
    Classification.objects.filter(pk=nameless.pk).update(taxon=None)
    assert mask(some, classifier) == {
        "classifications_checked": 12,
        "classifications_masked": 3,
        "taxa_changed": 3,
        "occurrences_updated": 2,
        "Skipped: logits of another length than the category map": 3,
        "Skipped: logits are not finite numbers": 4,
        "Skipped: category map without labels": 1,
        "Skipped: no class of the category map is in the taxa list": 1,
    }
    assert f"category map without labels. Ids: {bare.pk}." in caplog.text
    assert {str(result(row).taxon) for row in (sound, nameless, loose)} == {"b"}


def test_classifier_without_a_category_map_has_its_rows_skipped(some: TaxaList) -> None:
    classifier = make_algorithm()
    make_source(classifier, logits=[1.0])
    assert mask(some, classifier) == {
        "classifications_checked": 1,
        "Skipped: no category map": 1,
    }


def test_human_identification_survives(classifier: Algorithm, some: TaxaList) -> None:
    source = make_source(classifier, logits=[1.0, 2.0, 3.0])
    occurrence, taxon = source.detection.occurrence, make_taxon()
    assert occurrence
    Identification.objects.create(user=make_user(), taxon=taxon, occurrence=occurrence)
    mask(some, classifier)
    occurrence.refresh_from_db()
    assert (occurrence.determination, occurrence.determination_score) == (taxon, 1.0)


def test_one_occurrence_can_be_the_scope(classifier: Algorithm, some: TaxaList) -> None:
    sources = [make_source(classifier, logits=[1.0, 2.0, 3.0]) for _ in range(2)]
    counts = mask(some, classifier, occurrence_id=sources[0].detection.occurrence_id)
    assert counts["classifications_masked"] == 1


def test_vectors_come_back_bit_by_bit(classifier: Algorithm, some: TaxaList) -> None:
    source = make_source(classifier)
    logits = [-0.0, 5e-324, 700.123456789012345]
    Classification.objects.filter(pk=source.pk).update(logits=logits)
    mask(some, classifier)
    source.refresh_from_db()
    assert repr(result(source).logits) == repr(source.logits)


@pytest.mark.parametrize("rows", [5, 300])
def test_number_of_queries_does_not_grow_with_the_batch(
    rows: int,
    classifier: Algorithm,
    some: TaxaList,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    capture = make_capture()
    for _ in range(rows):
        detection = make_detection(source_image=capture, occurrence=make_occurrence())
        make_source(classifier, logits=[1.0, 2.0, 3.0], detection=detection)
    job = make_job(status="STARTED")
    capture_set = everything()
    task = ClassMaskingTask(
        job=job,
        source_image_collection_id=capture_set.pk,
        taxa_list_id=some.pk,
        algorithm_id=classifier.pk,
    )
    task.prepare()
    (batch,) = task.plan()
    with django_assert_num_queries(9):
        task.work_on(batch)
    assert task.counts["classifications_masked"] == rows
    assert set(Classification.objects.filter(terminal=True).values_list("job", flat=True)) == {
        job.pk
    }


@pytest.mark.parametrize(("classes", "rows"), [(3, 1_000), (2_500, 800), (29_000, 68)])
def test_batches_of_more_classes_have_fewer_rows(classes: int, rows: int) -> None:
    classifier = make_classifier(*(f"label {number}" for number in range(classes)))
    make_source(classifier)
    task = ClassMaskingTask(
        taxa_list_id=make_list(*make_species("label 0")).pk,
        algorithm_id=classifier.pk,
        source_image_collection_id=everything().pk,
    )
    assert task.batch_size == rows


def test_portions_of_a_batch_are_as_one(
    classifier: Algorithm, some: TaxaList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ami.ml.post_processing.deriving.NUMBERS_AT_ONCE", 7)
    sources = [make_source(classifier, logits=[1.0, 2.0, 3.0]) for _ in range(5)]
    assert mask(some, classifier)["classifications_masked"] == 5
    assert {str(result(source).taxon) for source in sources} == {"b"}

import pytest
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    make_capture,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.base.tests.snapshots import snapshot
from ami.main.models import Classification, Identification, Occurrence, Taxon
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.derived_reference import plain_softmax
from ami.ml.post_processing.tests.rollups import classifier, name_of, result, roll_up
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_map,
    make_ranks,
    make_source,
    make_species,
    run,
)

__all__ = ["classifier"]
pytestmark = pytest.mark.django_db


def test_first_rank_that_is_sure_enough_wins(classifier: Algorithm) -> None:
    source = make_source(
        classifier, scores=[0.4, 0.25, 0.35, 0.0], taxon=Taxon.objects.get(name="a")
    )
    assert roll_up() == {
        "classifications_checked": 1,
        "classifications_rolled_up": 1,
        "occurrences_updated": 1,
    }
    new = result(source)
    assert new
    assert (str(new.taxon), new.score) == ("G", 0.65)
    assert (new.scores, new.logits, new.category_map) == (None, None, None)
    assert new.metadata == {
        "thresholds": {"SPECIES": 0.8, "GENUS": 0.6, "FAMILY": 0.4},
        "lineage": "constrained",
        "rank": "GENUS",
        "unassigned_mass": 0.0,
    }
    assert new.algorithm
    assert new.algorithm.key == "rank_rollup"
    source.refresh_from_db()
    assert not source.terminal
    occurrence = new.detection.occurrence
    assert occurrence
    assert (occurrence.determination, occurrence.determination_score) == (new.taxon, 0.65)


@pytest.mark.parametrize(
    ("scores", "constrained", "anywhere"),
    [
        ([0.9, 0.1, 0.0, 0.0], "a", "a"),
        ([0.5, 0.3, 0.2, 0.0], "G", "G"),
        ([0.4, 0.05, 0.3, 0.25], "F", "H"),
        ([0.36, 0.0, 0.34, 0.3], None, "I"),  # the top class is of the other family
        ([0.25, 0.25, 0.25, 0.25], "F", "F"),  # of equal ones, the first
    ],
)
def test_lineage_of_the_top_class_constrains(
    classifier: Algorithm, scores: list[float], constrained: str | None, anywhere: str
) -> None:
    source = make_source(classifier, scores=scores)
    roll_up()
    assert name_of(source) == constrained
    Classification.objects.exclude(pk=source.pk).delete()
    Classification.objects.update(terminal=True)
    roll_up(lineage="global")
    assert name_of(source) == anywhere


def test_last_bits_of_a_sum_decide_nothing(classifier: Algorithm) -> None:
    source = make_source(classifier, scores=[0.3, 0.0, 0.1, 0.2])  # 0.30000000000000004 as it adds
    roll_up(thresholds={"FAMILY": 0.3}, lineage="global")
    assert name_of(source) == "F"


def test_logits_count_where_there_are_no_scores(classifier: Algorithm) -> None:
    logits = [2.0, 1.9, 0.0, -1.0]
    unscored = make_source(classifier, logits=logits)
    scored = make_source(classifier, logits=logits, scores=[0.0, 0.1, 0.0, 0.9])
    assert roll_up()["classifications_rolled_up"] == 2
    new = result(unscored)
    assert new
    assert str(new.taxon) == "G"
    assert new.score == pytest.approx(sum(plain_softmax(logits)[:2]))
    assert name_of(scored) == "d"


def test_nothing_sure_enough_is_left_alone(classifier: Algorithm) -> None:
    make_source(classifier, scores=[0.3, 0.0, 0.3, 0.0])
    before = snapshot(Classification, Occurrence)
    assert roll_up() == {"classifications_checked": 1, "unresolved": 1}
    assert snapshot(Classification, Occurrence) == before


def test_present_taxon_is_left_alone(classifier: Algorithm) -> None:
    make_source(classifier, scores=[0.9, 0.1, 0.0, 0.0], taxon=Taxon.objects.get(name="a"))
    before = snapshot(Classification, Occurrence)
    assert roll_up() == {"classifications_checked": 1, "unchanged": 1}
    assert snapshot(Classification, Occurrence) == before


def test_mass_without_a_taxon_or_rank_counts_for_nobody_and_is_reported(
    classifier: Algorithm, caplog: pytest.LogCaptureFixture
) -> None:
    make_species("stray")  # of no genus
    wide = make_classifier("a", "b", "stray", "nobody", "G")
    source = make_source(wide, scores=[0.4, 0.1, 0.2, 0.1, 0.2])
    roll_up()
    new = result(source)
    assert new
    assert (str(new.taxon), new.score) == ("G", 0.7)  # the label of the genus counts for it
    assert new.metadata["unassigned_mass"] == pytest.approx(0.3)
    assert "1 of 5 labels stand for no taxon: nobody." in caplog.text


@pytest.mark.parametrize(("lineage", "expected"), [("constrained", None), ("global", "G")])
def test_top_class_without_a_taxon_has_no_lineage(
    classifier: Algorithm, lineage: str, expected: str | None
) -> None:
    source = make_source(make_classifier("nobody", "a", "b"), scores=[0.34, 0.33, 0.33])
    roll_up(lineage=lineage)
    assert name_of(source) == expected


def test_missing_rank_is_passed_over() -> None:
    family = make_taxon(name="F", rank="FAMILY")
    make_species("a", "b", parent=family)
    source = make_source(make_classifier("a", "b"), scores=[0.5, 0.5])
    roll_up()
    assert name_of(source) == "F"


def test_names_are_never_split(classifier: Algorithm) -> None:
    genus = Taxon.objects.get(name="G")
    make_taxon(name="Hepialus", rank="GENUS")
    make_species("Hepialus novigannus", parent=genus)
    source = make_source(make_classifier("Hepialus novigannus", "a"), scores=[0.5, 0.3])
    roll_up()
    assert name_of(source) == "G"


def test_synonyms_count_for_their_accepted_taxon(classifier: Algorithm) -> None:
    make_taxon(name="old", synonym_of=Taxon.objects.get(name="a"))
    source = make_source(make_classifier("old", "a"), scores=[0.5, 0.4])
    roll_up()
    new = result(source)
    assert new
    assert (str(new.taxon), new.score) == ("a", 0.9)


def test_masking_then_rolling_up() -> None:
    make_ranks("F", "G", "a", "b")
    elsewhere = make_species("c")
    classifier = make_classifier("a", "b", "c")
    source = make_source(classifier, logits=[1.0, 0.9, 5.0], taxon=elsewhere[0])
    taxa_list = make_list(Taxon.objects.get(name="G"))
    run(ClassMaskingTask, taxa_list_id=taxa_list.pk, algorithm_id=classifier.pk)
    assert roll_up()["classifications_rolled_up"] == 1
    (masked,) = source.derived_classifications.all()
    new = result(masked)
    assert new
    assert (str(new.taxon), new.score) == ("G", 1.0)
    assert [row.pk for row in Classification.objects.filter(terminal=True)] == [new.pk]


def test_second_run_writes_nothing(classifier: Algorithm) -> None:
    for scores in ([0.9, 0.0, 0.0, 0.0], [0.3, 0.3, 0.1, 0.0], [0.1, 0.0, 0.0, 0.0]):
        make_source(classifier, scores=scores)
    capture_set = everything()
    roll_up(source_image_collection_id=capture_set.pk)
    before = snapshot(Classification, Occurrence, Algorithm, Taxon)
    assert roll_up(source_image_collection_id=capture_set.pk) == {
        "classifications_checked": 1,
        "unresolved": 1,
    }
    assert snapshot(Classification, Occurrence, Algorithm, Taxon) == before


def test_flags_of_the_size_filter_and_intermediate_rows_are_left_alone(
    classifier: Algorithm,
) -> None:
    detection = make_detection(bbox=[0, 0, 5, 5])
    source = make_source(classifier, scores=[0.9, 0.0, 0.0, 0.0], detection=detection)
    run(SmallSizeFilterTask)
    assert roll_up() == {}
    assert name_of(source) == "Not identifiable"


def test_rows_of_every_kind_of_fault_are_skipped_by_reason_and_the_rest_is_done(
    classifier: Algorithm, caplog: pytest.LogCaptureFixture
) -> None:
    sound = [0.5, 0.3, 0.1, 0.1]
    for scores in ([0.9], [0.1] * 5, []):
        make_source(classifier, scores=scores)
    for odd in (float("nan"), float("inf"), None):
        make_source(classifier, scores=[0.5, odd, 0.0, 0.0], logits=[0.0, 0.0, 0.0, 0.0])
    for scores in ([-0.1, 0.5, 0.0, 0.0], [0.9, 0.9, 0.0, 0.0], [1e308, 1e308, 0.0, 0.0]):
        make_source(classifier, scores=scores)
    make_source(classifier, logits=[0.0])
    bare = make_source(classifier, scores=sound, category_map=AlgorithmCategoryMap.objects.create())
    mapless = make_source(None, scores=sound)
    rest = [
        make_source(None, scores=sound, category_map=classifier.category_map),
        make_source(classifier, scores=sound, detection=make_detection()),
        make_source(classifier, scores=sound),
    ]
    Classification.objects.filter(pk=rest[2].pk).update(taxon=None)
    assert roll_up() == {
        "classifications_checked": 15,
        "classifications_rolled_up": 3,
        "occurrences_updated": 2,
        "Skipped: scores of another length than the category map": 3,
        "Skipped: logits of another length than the category map": 1,
        "Skipped: scores are not finite numbers": 3,
        "Skipped: scores are not probabilities": 3,
        "Skipped: category map without labels": 1,
        "Skipped: no category map": 1,
    }
    for reason, row in {"category map without labels": bare, "no category map": mapless}.items():
        assert f"{reason}. Ids: {row.pk}." in caplog.text
    assert {name_of(row) for row in rest} == {"G"}


def test_human_identification_survives(classifier: Algorithm) -> None:
    source = make_source(classifier, scores=[0.9, 0.0, 0.0, 0.0])
    occurrence, taxon = source.detection.occurrence, make_taxon()
    assert occurrence
    Identification.objects.create(user=make_user(), taxon=taxon, occurrence=occurrence)
    roll_up()
    occurrence.refresh_from_db()
    assert (occurrence.determination, occurrence.determination_score) == (taxon, 1.0)


def test_several_category_maps_are_each_their_own(classifier: Algorithm) -> None:
    other = make_source(classifier, scores=[0.9, 0.0], category_map=make_map("d", "a"))
    source = make_source(classifier, scores=[0.9, 0.0, 0.0, 0.0])
    roll_up()
    assert (name_of(other), name_of(source)) == ("d", "a")


@pytest.mark.parametrize("rows", [5, 300])
def test_number_of_queries_does_not_grow_with_the_batch(
    rows: int, classifier: Algorithm, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    capture = make_capture()
    for number in range(rows):
        detection = make_detection(source_image=capture, occurrence=make_occurrence())
        vector = "logits" if number % 2 else "scores"
        make_source(classifier, detection=detection, **{vector: [0.5, 0.3, 0.1, 0.1]})
    capture_set = everything()
    task = RankRollupTask(source_image_collection_id=capture_set.pk, thresholds={"FAMILY": 0.1})
    task.prepare()
    assert task.algorithm
    (batch,) = task.plan()
    task.work_on(batch)  # reads the category map
    Classification.objects.filter(algorithm=task.algorithm).delete()
    Classification.objects.update(terminal=True)
    with django_assert_num_queries(10):
        task.work_on(batch)
    assert task.counts["classifications_rolled_up"] == 2 * rows

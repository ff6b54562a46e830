from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, models, transaction

from ami.base.tests.factories import (
    NIGHT,
    make_algorithm,
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    SourceImage,
    TaxaList,
    Taxon,
    TaxonRank,
)
from ami.ml.models import Algorithm, AlgorithmCategoryMap, AlgorithmTaskType

pytestmark = pytest.mark.django_db


def refuse(model: type[models.Model], **fields: Any) -> None:
    """Not only the model's validation but also the database refuses such a row."""
    with pytest.raises(IntegrityError), transaction.atomic():
        model._default_manager.bulk_create([model(**fields)])


class TestDatabase:
    def test_unknown_rank_is_refused(self) -> None:
        refuse(Taxon, name="Moth", rank="MOTH")

    def test_second_taxon_of_a_name_is_refused(self) -> None:
        refuse(Taxon, name=make_taxon().name)

    @pytest.mark.parametrize("score", [-0.01, 1.01, float("nan"), float("inf")])
    def test_score_outside_of_0_to_1_is_refused(self, score: float) -> None:
        refuse(Classification, detection=make_detection(), score=score)
        refuse(Occurrence, determination_score=score)
        refuse(Detection, source_image=make_capture(), detection_score=score)

    @pytest.mark.parametrize(
        ("score", "stored"), [(1.0000000000000002, 1.0), (-1e-17, 0.0), (1 - 1e-16, 1 - 1e-16)]
    )
    def test_score_is_beyond_its_bounds_by_no_rounding_error(
        self, score: float, stored: float
    ) -> None:
        row = make_classification(score=score)
        Classification.objects.bulk_create([Classification(detection=row.detection, score=score)])
        Classification.objects.filter(pk=row.pk).update(score=score)
        row.detection.detection_score = score
        row.detection.save()
        scores = set(Classification.objects.values_list("score", flat=True))
        assert scores | set(Detection.objects.values_list("detection_score", flat=True)) == {stored}

    @pytest.mark.parametrize("score", [0, 1, None])
    def test_score_of_0_to_1_is_taken(self, score: float | None) -> None:
        make_classification(score=score)

    def test_capture_is_unique_by_deployment_and_path(self) -> None:
        capture = make_capture()
        refuse(SourceImage, deployment=capture.deployment, path=capture.path)
        make_capture(path=capture.path)

    def test_night_is_unique_by_deployment_and_day(self) -> None:
        event = Event.objects.create(deployment=make_deployment(), group_by="2022-06-20")
        refuse(Event, deployment=event.deployment, group_by="2022-06-20")

    def test_algorithm_is_unique_by_key_and_by_name_with_version(self) -> None:
        algorithm = make_algorithm(name="Moths", version=1)
        refuse(Algorithm, name="Others", key=algorithm.key)
        refuse(Algorithm, name="Moths", version=1, key="another")

    def test_box_and_arrays_read_as_they_were_written(self) -> None:
        detection = make_detection(bbox=[1, 2.5, 3, 4], similarity_vector=[0.1, 1e-300])
        row = make_classification(detection=detection, scores=[0.1, 0.9], logits=[-1e3, 1 / 3])

        detection.refresh_from_db()
        row.refresh_from_db()
        assert detection.bbox == [1, 2.5, 3, 4]
        assert detection.similarity_vector == [0.1, 1e-300]
        assert (row.scores, row.logits) == ([0.1, 0.9], [-1e3, 1 / 3])


class TestAlgorithm:
    def test_key_comes_from_name_and_version(self) -> None:
        assert make_algorithm(name="Moths of Québec", version=3).key == "moths-of-quebec-3"

    def test_given_key_is_kept(self) -> None:
        assert make_algorithm(key="mine").key == "mine"

    def test_labels_of_a_category_map_follow_the_index(self) -> None:
        data = [{"index": 1, "label": "b"}, {"index": 0, "label": "a", "gbif_key": 7}]

        assert AlgorithmCategoryMap.objects.create(data=data).labels == ["a", "b"]

    def test_task_types_bear_their_names(self) -> None:
        assert AlgorithmTaskType.CLASSIFICATION.value == "classification"
        assert AlgorithmTaskType.POST_PROCESSING.value == "post_processing"


class TestClassification:
    def test_category_map_is_that_of_the_algorithm(self) -> None:
        category_map = AlgorithmCategoryMap.objects.create(data=[{"index": 0, "label": "a"}])
        algorithm = make_algorithm(category_map=category_map)

        assert make_classification(algorithm=algorithm).category_map == category_map

    def test_given_category_map_is_kept(self) -> None:
        own = AlgorithmCategoryMap.objects.create()
        algorithm = make_algorithm(category_map=AlgorithmCategoryMap.objects.create())

        row = make_classification(algorithm=algorithm, category_map=own)

        assert row.category_map == own

    def test_saving_one_leaves_the_determination_alone(self) -> None:
        occurrence = make_occurrence()

        make_classification(detection=make_detection(occurrence=occurrence))

        occurrence.refresh_from_db()
        assert occurrence.determination is None

    def test_derived_ones_are_found_from_their_source(self) -> None:
        source = make_classification()
        derived = make_classification(detection=source.detection, applied_to=source)

        assert source.derived_classifications.get() == derived
        assert source.detection.classifications.count() == 2


class TestDetection:
    def test_new_occurrence_has_place_night_and_determination(self) -> None:
        event = Event.objects.create(deployment=make_deployment(), group_by="2022-06-20")
        capture = make_capture(deployment=event.deployment, event=event)
        detection = make_detection(source_image=capture)
        row = make_classification(detection=detection, score=0.7)

        occurrence = detection.associate_new_occurrence()

        detection.refresh_from_db()
        assert detection.occurrence == occurrence
        assert occurrence.determination == row.taxon
        assert occurrence.determination_score == 0.7
        assert occurrence.event == event
        assert occurrence.deployment == event.deployment
        assert occurrence.project == capture.project

    def test_occurrence_that_is_there_is_kept(self) -> None:
        occurrence = make_occurrence()

        assert make_detection(occurrence=occurrence).associate_new_occurrence() == occurrence
        assert Occurrence.objects.count() == 1


class TestOccurrence:
    def test_saving_one_determines_it(self) -> None:
        occurrence = make_occurrence()
        row = make_classification(detection=make_detection(occurrence=occurrence))

        occurrence.save()

        assert occurrence.determination == row.taxon

    def test_saving_without_determination_leaves_it(self) -> None:
        occurrence = make_occurrence()
        make_classification(detection=make_detection(occurrence=occurrence))

        occurrence.save(update_determination=False)

        occurrence.refresh_from_db()
        assert occurrence.determination is None

    def test_best_prediction_and_its_detection(self) -> None:
        occurrence = make_occurrence()
        detections = [make_detection(occurrence=occurrence) for _ in range(2)]
        make_classification(detection=detections[0], score=0.2)
        best = make_classification(detection=detections[1], score=0.8)

        assert occurrence.best_prediction == best
        assert occurrence.best_detection == detections[1]

    def test_best_detection_without_predictions_is_the_first(self) -> None:
        occurrence = make_occurrence()
        first, _ = (make_detection(occurrence=occurrence) for _ in range(2))

        assert occurrence.best_detection == first

    def test_best_identification_is_the_latest_that_stands(self) -> None:
        occurrence = make_occurrence()
        rows = [
            Identification.objects.create(occurrence=occurrence, **fields)
            for fields in (
                {"taxon": make_taxon()},
                {"taxon": make_taxon()},
                {"taxon": make_taxon(), "withdrawn": True},
                {"taxon": None},
            )
        ]

        assert occurrence.best_identification == rows[1]

    def test_first_appearance_is_the_earliest_capture(self) -> None:
        occurrence, deployment = make_occurrence(), make_deployment()
        captures = [
            make_capture(deployment=deployment, timestamp=timestamp)
            for timestamp in (None, NIGHT + timedelta(minutes=1), NIGHT)
        ]
        for capture in captures:
            make_detection(source_image=capture, occurrence=occurrence)

        assert occurrence.first_appearance == captures[2]

    def test_empty_occurrence_has_nothing_best(self) -> None:
        occurrence = make_occurrence()

        assert occurrence.best_prediction is None
        assert occurrence.best_detection is None
        assert occurrence.best_identification is None
        assert occurrence.first_appearance is None


class TestIdentification:
    def test_saving_changing_and_deleting_one_determines_the_occurrence(self) -> None:
        occurrence, taxon, other = make_occurrence(), make_taxon(), make_taxon()

        row = Identification.objects.create(occurrence=occurrence, taxon=taxon, user=make_user())
        occurrence.refresh_from_db()
        assert (occurrence.determination, occurrence.determination_score) == (taxon, 1.0)

        row.taxon = other
        row.save()
        occurrence.refresh_from_db()
        assert occurrence.determination == other

        row.withdrawn = True
        row.save()
        occurrence.refresh_from_db()
        assert occurrence.determination is None

        row.withdrawn = False
        row.save()
        row.delete()
        occurrence.refresh_from_db()
        assert occurrence.determination is None

    def test_moving_one_determines_both_occurrences(self) -> None:
        first, second, taxon = make_occurrence(), make_occurrence(), make_taxon()
        row = Identification.objects.create(occurrence=first, taxon=taxon)

        row.occurrence = second
        row.save()

        first.refresh_from_db()
        second.refresh_from_db()
        assert (first.determination, second.determination) == (None, taxon)


def test_reverse_names() -> None:
    deployment = make_deployment()
    project = deployment.project
    event = Event.objects.create(project=project, deployment=deployment, group_by="2022-06-20")
    capture = make_capture(deployment=deployment, event=event)
    capture_set = make_capture_set([capture])
    assert project is not None

    for owner in (project, deployment, event):
        assert owner.captures.get() == capture
    assert capture.collections.get() == capture_set
    assert project.sourceimage_collections.get() == capture_set


def test_synonyms_lists_and_projects_of_taxa() -> None:
    project = make_project()
    genus = make_taxon(rank=TaxonRank.GENUS)
    taxon = make_taxon(parent=genus, search_names=["Luna moth"], gbif_taxon_key=7)
    synonym = make_taxon(synonym_of=taxon)
    taxon.projects.add(project)
    taxa_list = TaxaList.objects.create(name="Regional")
    taxa_list.taxa.add(taxon)
    taxa_list.projects.add(project)

    assert taxon.synonyms.get() == synonym
    assert genus.direct_children.get() == taxon
    assert taxon.lists.get() == taxa_list
    assert project.taxa.get() == taxon


def test_rows_read_as_names() -> None:
    assert str(make_taxon(name="Actias luna")) == "Actias luna"
    assert str(make_project(name="Vermont")) == "Vermont"
    assert str(Deployment(name="Trap")) == "Trap"
    assert str(Detection(pk=3)) == "Detection 3"
    assert str(make_user(email="ada@example.org")) == "ada@example.org"

"""Tests of single checks, in addition to the parametrized tests of all checks."""

import pytest

from ami.base.tests.factories import make_detection, make_occurrence
from ami.base.tests.snapshots import snapshot
from ami.main.checks.detection_without_occurrence import reconcile_detections_without_occurrence
from ami.main.checks.duplicate_classification import reconcile_duplicate_classifications
from ami.main.checks.occurrence_without_detections import (
    IDENTIFIED,
    get_occurrences_without_detections,
    reconcile_occurrences_without_detections,
)
from ami.main.checks.several_terminal import reconcile_several_terminal
from ami.main.checks.tests.faults.classifications import COPY, saved_twice_with_what_follows
from ami.main.checks.tests.faults.occurrences import classified_alone
from ami.main.checks.tests.world import World, execute, make_world
from ami.main.checks.vector_length import get_classifications_with_wrong_vectors
from ami.main.models import Classification, Detection, Identification, Occurrence, Taxon
from ami.ml.integrity_checks import get_category_maps_with_unresolved_labels

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.mark.parametrize("withdrawn", [False, True])
def test_occurrence_that_a_person_identified_is_never_deleted(withdrawn: bool) -> None:
    empty, identified = make_occurrence(), make_occurrence()
    Identification.objects.create(occurrence=identified, withdrawn=withdrawn)
    before = snapshot(Identification)

    done = reconcile_occurrences_without_detections(dry_run=False)

    assert (done.checked, done.fixed, done.unfixable) == (2, 1, 1)
    assert done.reasons == {identified.pk: IDENTIFIED}
    assert list(get_occurrences_without_detections()) == [identified]
    assert not Occurrence.objects.filter(pk=empty.pk).exists()
    assert snapshot(Identification) == before


def test_detection_gets_an_occurrence_of_its_own_like_its_capture(world: World) -> None:
    ((_, pk),) = classified_alone(world)

    reconcile_detections_without_occurrence(dry_run=False)

    detection = Detection.objects.select_related("occurrence").get(pk=pk)
    occurrence = detection.occurrence
    assert occurrence is not None
    assert list(occurrence.detections.all()) == [detection]
    assert (occurrence.project, occurrence.deployment, occurrence.event) == (
        world.project,
        world.deployment,
        world.event,
    )
    assert (occurrence.determination, occurrence.determination_score) == (world.species, 0.5)


def test_demoting_determines_anew(world: World) -> None:
    """The older classification with the higher score no longer determines the taxon."""
    Classification.objects.filter(pk=world.older.pk).update(terminal=True, score=0.99)
    world.occurrence.save()
    assert world.occurrence.determination == world.genus

    reconcile_several_terminal(dry_run=False)

    world.occurrence.refresh_from_db()
    assert (world.occurrence.determination, world.occurrence.determination_score) == (
        world.species,
        0.75,
    )


def test_kept_classification_is_terminal_if_a_copy_was(world: World) -> None:
    execute(COPY, True, world.older.pk)

    reconcile_duplicate_classifications(dry_run=False)

    world.older.refresh_from_db()
    assert world.older.terminal


def test_lineage_is_kept_however_deep(world: World) -> None:
    """Of two equal chains one is left, and no classification loses its source."""
    before = Classification.objects.count()
    saved_twice_with_what_follows(world)
    Classification.objects.filter(detection=world.detections[0]).update(terminal=False)

    reconcile_duplicate_classifications(dry_run=False)

    assert Classification.objects.count() == before
    world.masked.refresh_from_db()
    assert world.masked.applied_to == world.raw


def test_only_the_ids_asked_for_are_repaired() -> None:
    first, second = make_occurrence(), make_occurrence()

    done = reconcile_occurrences_without_detections(occurrence_ids=[second.pk], dry_run=False)

    assert (done.checked, done.fixed) == (1, 1)
    assert list(Occurrence.objects.all()) == [first]


def test_label_is_answered_by_a_search_name_or_a_gbif_key(world: World) -> None:
    species, genus = world.species, world.genus
    labels = [species.name, genus.name]
    Taxon.objects.filter(pk=species.pk).update(name="Renamed 1", search_names=[labels[0]])
    Taxon.objects.filter(pk=genus.pk).update(name="Renamed 2", gbif_taxon_key=7)
    assert get_category_maps_with_unresolved_labels().count() == 1

    for key in (7, "7", 7.0):
        world.category_map.data = [
            {"index": 0, "label": labels[0]},
            {"index": 1, "label": labels[1], "gbif_key": key},
        ]
        world.category_map.save()
        assert not get_category_maps_with_unresolved_labels().exists()


@pytest.mark.parametrize("data", ["{}", "3", "null", '[1, "text", null]'])
def test_map_whose_data_are_no_list_of_classes_is_told_not_crashed_on(
    world: World, data: str
) -> None:
    execute("UPDATE ml_algorithmcategorymap SET data = %s::jsonb, labels = '{None such}'", data)

    assert get_category_maps_with_unresolved_labels().get() == world.category_map


def test_vectors_are_found_by_the_lengths_of_their_own_map(world: World) -> None:
    other = make_world()
    execute(
        "UPDATE ml_algorithmcategorymap SET labels = labels || '{More}' WHERE id = %s",
        other.category_map.pk,
    )

    wrong = get_classifications_with_wrong_vectors()

    assert set(wrong.values_list("category_map", flat=True)) == {other.category_map.pk}


def test_occurrence_with_a_detection_is_not_deleted_even_if_asked_for() -> None:
    occurrence = make_occurrence()
    make_detection(occurrence=occurrence)

    done = reconcile_occurrences_without_detections(occurrence_ids=[occurrence.pk], dry_run=False)

    assert done.checked == 0
    assert Occurrence.objects.filter(pk=occurrence.pk).exists()

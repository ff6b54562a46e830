import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.plans import call_tables_empty, planned_rows
from ami.base.tests.shared import EXPORT, OWN_EXPORT, third_party
from ami.base.tests.snapshots import snapshot
from ami.exchange.tests.exports import MODELS, make_example, make_record
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
    TaxonRank,
    group_images_into_events,
)
from ami.ml.models import Algorithm, AlgorithmTaskType

pytestmark = pytest.mark.django_db


class Export(NamedTuple):
    """An export and its expected contents."""

    path: Path
    occurrences: int
    detections: int
    captures: int
    frame: tuple[int, int]
    taxa: int
    nights: int


OWN = Export(
    OWN_EXPORT, occurrences=5, detections=10, captures=6, frame=(800, 600), taxa=5, nights=2
)
VERMONT = Export(
    EXPORT, occurrences=95, detections=333, captures=120, frame=(4096, 2160), taxa=46, nights=4
)


@pytest.fixture(params=[pytest.param(OWN, id="own"), third_party(VERMONT, EXPORT)])
def export(request: pytest.FixtureRequest) -> Export:
    found: Export = request.param
    return found


def import_file(path: Path) -> str:
    out = StringIO()
    call_command("import_occurrences", str(path), "--project=Vermont", stdout=out)
    return out.getvalue()


def test_file_is_loaded_whole(export: Export) -> None:
    import_file(export.path)

    project = Project.objects.get(name="Vermont")
    algorithm = Algorithm.objects.get()
    capture_set = project.sourceimage_collections.get()
    assert project.occurrences.count() == export.occurrences
    assert Detection.objects.count() == Classification.objects.count() == export.detections
    width, height = export.frame
    assert project.captures.filter(width=width, height=height).count() == export.captures
    assert capture_set.images.count() == export.captures
    assert set(Taxon.objects.values_list("rank", flat=True)) == {TaxonRank.SPECIES}
    assert project.taxa.count() == export.taxa
    assert algorithm.task_type == AlgorithmTaskType.CLASSIFICATION
    assert algorithm.category_map is not None
    assert sorted(algorithm.category_map.labels) == sorted(
        project.taxa.values_list("name", flat=True)
    )
    assert not project.occurrences.filter(determination=None).exists()
    assert project.events.count() == export.nights


def test_statistics_know_what_was_imported() -> None:
    call_tables_empty()

    import_file(OWN_EXPORT)

    for model in (SourceImage, Detection, Classification, Occurrence):
        assert planned_rows(model) == model._default_manager.count() > 0


def test_second_import_changes_nothing(export: Export) -> None:
    import_file(export.path)
    before = snapshot(*MODELS)

    assert "nothing was changed" in import_file(export.path)

    assert snapshot(*MODELS) == before


def test_nights_of_the_file_are_those_of_the_grouping(export: Export) -> None:
    import_file(export.path)
    before = list(SourceImage.objects.order_by("pk").values_list("event_id", flat=True))

    group_images_into_events(Deployment.objects.get())

    assert list(SourceImage.objects.order_by("pk").values_list("event_id", flat=True)) == before


def test_determination_times_and_counts_are_set(import_export: Callable[..., str]) -> None:
    record = make_record(1, captures=3)
    record["examples"][1] |= {"label": "Campaea perlata", "score": 0.9}

    import_export([record])

    occurrence = Occurrence.objects.select_related("determination", "event", "deployment").get()
    event, deployment = occurrence.event, occurrence.deployment
    assert occurrence.determination is not None
    assert event is not None
    assert deployment is not None
    assert (occurrence.determination.name, occurrence.determination_score) == (
        "Campaea perlata",
        0.9,
    )
    assert event.start is not None
    assert event.end is not None
    assert (event.start.minute, event.end.minute) == (0, 2)
    assert (event.captures_count, event.detections_count, event.occurrences_count) == (3, 3, 1)
    assert [getattr(deployment, name) for name in Deployment.COUNTS] == [1, 3, 3, 1]
    assert set(SourceImage.objects.values_list("detections_count", flat=True)) == {1}


def test_later_file_adds_to_what_is_there(import_export: Callable[..., str]) -> None:
    import_export([make_record(1)])
    occurrence = Occurrence.objects.get()

    import_export([make_record(1, captures=3), make_record(2)])

    assert occurrence.detections.count() == 3
    assert Occurrence.objects.count() == 2
    assert SourceImage.objects.count() == 3
    assert SourceImageCollection.objects.get().images.count() == 3
    assert "nothing was changed" in import_export([make_record(1, captures=3), make_record(2)])


def test_detections_without_crop_are_told_apart_by_box(import_export: Callable[..., str]) -> None:
    first, second = (make_record(number, captures=1) for number in (1, 2))
    for number, record in enumerate((first, second)):
        record["examples"][0] |= {"cropped_image_path": None, "bbox": [number, 0, 50, 50.5]}

    import_export([first, second])

    assert Detection.objects.count() == 2
    assert "nothing was changed" in import_export([first, second])


def test_category_map_grows_and_keeps_its_indexes(import_export: Callable[..., str]) -> None:
    import_export([make_record(1, captures=1)])
    other = make_record(2, captures=1)
    other["examples"][0]["label"] = "Abrostola urentis"

    import_export([other], project="Another")

    category_map = Algorithm.objects.select_related("category_map").get().category_map
    assert category_map is not None
    assert category_map.labels == ["Actias luna", "Abrostola urentis"]


def test_rank_is_unknown_where_the_label_does_not_tell(import_export: Callable[..., str]) -> None:
    labels = {
        "Actias luna": TaxonRank.SPECIES,
        "Noctuidae": TaxonRank.UNKNOWN,
        "Not identifiable": TaxonRank.UNKNOWN,
        "Probole alienaria-amicaria complex": TaxonRank.UNKNOWN,
    }
    examples = [make_example(1, number, label=label) for number, label in enumerate(labels)]

    import_export([make_record(1, examples=examples)])

    assert dict(Taxon.objects.values_list("name", "rank")) == labels
    assert Taxon.objects.get(identifiable=False).name == "Not identifiable"


def test_known_taxon_keeps_its_rank(import_export: Callable[..., str]) -> None:
    Taxon.objects.create(name="Actias luna", rank=TaxonRank.GENUS)

    import_export([make_record(1)])

    assert Taxon.objects.get().rank == TaxonRank.GENUS


def test_deployment_option_replaces_those_of_the_file(import_export: Callable[..., str]) -> None:
    import_export([make_record(1), make_record(2, deployment=None)], "--deployment=Meadow")

    assert Deployment.objects.get().name == "Meadow"


def test_project_is_created_and_said_so(import_export: Callable[..., str]) -> None:
    assert "new project 'Vermont'" in import_export([make_record(1)])


@pytest.mark.usefixtures("untimed")
def test_queries_do_not_grow_with_rows(import_export: Callable[..., str]) -> None:
    def queries(records: int, project: str) -> int:
        data = [make_record(number, captures=4) for number in range(records)]
        with CaptureQueriesContext(connection) as context:
            import_export(data, project=project)
        return len(context)

    queries(1, "First: makes the taxa and the algorithm")

    assert queries(200, "Many") == queries(2, "Few")


def test_no_progress_bar_in_a_pipe(
    import_export: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    import_export([make_record(1)])

    assert capsys.readouterr().err == ""


def test_progress_bar_on_a_terminal(
    import_export: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    import_export([make_record(1)])

    assert "1/1" in capsys.readouterr().err

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext, override_settings
from PIL import Image

from ami.base.tests.factories import make_taxon
from ami.base.tests.snapshots import snapshot
from ami.main.management.demo.classifier import answer, softmax
from ami.main.management.demo.species import load_species
from ami.main.management.demo.sprites import LOOKS, draw_moth
from ami.main.management.demo.story import REGULARS, tell_night
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    TaxaList,
    Taxon,
    TaxonRank,
)
from ami.ml.models import Algorithm, AlgorithmCategoryMap

SMALL = 0.0008
MODELS = (
    Project,
    Deployment,
    Event,
    SourceImage,
    SourceImageCollection,
    TaxaList,
    Taxon,
    Occurrence,
    Detection,
    Classification,
    Identification,
    Algorithm,
    AlgorithmCategoryMap,
)


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Path]:
    with override_settings(MEDIA_ROOT=tmp_path):
        yield tmp_path


def create(*options: str) -> str:
    out = StringIO()
    call_command("create_demo_project", *options, stdout=out)
    return out.getvalue()


def relative_area(detection: Detection) -> float:
    x1, y1, x2, y2 = detection.bbox or [0.0] * 4
    capture = detection.source_image
    return (x2 - x1) * (y2 - y1) / ((capture.width or 0) * (capture.height or 0))


@pytest.mark.django_db
def test_demo_project_has_all_that_a_tour_needs(media: Path) -> None:
    with CaptureQueriesContext(connection) as queries:
        create()

    project = Project.objects.get(name="Demo project")
    _check_captures(project, media)
    _check_detections(project, media)
    _check_classifier(project)
    _check_taxa(project)
    _check_identifications(project)
    assert len(queries) < 150

    before = snapshot(*MODELS)
    assert create() == "Project 'Demo project' already exists; nothing was changed.\n"
    assert snapshot(*MODELS) == before


def _check_captures(project: Project, media: Path) -> None:
    assert project.deployments.count() == 2
    assert project.events.values("group_by").distinct().count() == 3
    assert project.captures.count() >= 60
    capture_set = project.sourceimage_collections.get(name="Demo captures")
    assert capture_set.images.count() == project.captures.count()
    for capture in project.captures.all():
        with Image.open(media / capture.path) as frame:
            assert frame.size == (capture.width, capture.height)
    deployment = project.deployments.first()
    assert deployment is not None
    assert deployment.detections_count > 0
    assert deployment.events_count == 3


def _check_detections(project: Project, media: Path) -> None:
    detections = Detection.objects.filter(source_image__project=project)
    detections = detections.select_related("source_image")
    assert len(detections) >= 600
    small = [detection for detection in detections if relative_area(detection) < SMALL]
    assert 0.07 < len(small) / len(detections) < 0.13
    for detection in detections:
        x1, y1, x2, y2 = detection.bbox or [0.0] * 4
        assert 0 <= x1 < x2 <= (detection.source_image.width or 0)
        assert 0 <= y1 < y2 <= (detection.source_image.height or 0)
        with Image.open(media / detection.path) as crop:
            assert crop.size == (x2 - x1, y2 - y1)
    sizes = project.occurrences.annotate(size=Count("detections")).values_list("size", flat=True)
    assert min(sizes) >= 1
    assert sum(size > 1 for size in sizes) > len(sizes) / 2
    events = project.occurrences.annotate(
        events=Count("detections__source_image__event", distinct=True)
    )
    assert set(events.values_list("events", flat=True)) == {1}
    assert not project.occurrences.filter(event=None).exists()


def _check_classifier(project: Project) -> None:
    classifications = Classification.objects.filter(
        detection__source_image__project=project
    ).select_related("taxon", "algorithm__category_map")
    assert len(classifications) == Detection.objects.filter(source_image__project=project).count()
    for row in classifications:
        assert row.algorithm is not None
        assert row.algorithm.category_map is not None
        assert row.taxon is not None
        labels = row.algorithm.category_map.labels
        assert len(labels) >= 300
        assert len(row.logits or ()) == len(labels)
        assert np.allclose(softmax(np.asarray(row.logits)), row.scores or (), atol=1e-12)
        assert row.score == max(row.scores or ())
        assert row.taxon.name == labels[int(np.argmax(row.scores or ()))]
    scores = [row.score or 0 for row in classifications]
    assert sum(score < 0.5 for score in scores) > 50
    assert sum(score > 0.9 for score in scores) > 200


def _check_taxa(project: Project) -> None:
    species = Taxon.objects.filter(
        rank=TaxonRank.SPECIES, name__in=[s.name for s in load_species()]
    )
    listed = TaxaList.objects.get().taxa.count()
    assert 0.78 < listed / species.count() < 0.82
    assert not species.exclude(parent__parent__parent__name="Lepidoptera").exists()
    assert project.taxa.filter(rank=TaxonRank.SPECIES).count() == species.count()
    assert project.taxa_lists.count() == 1


def _check_identifications(project: Project) -> None:
    people = Identification.objects.filter(occurrence__project=project)
    assert people.filter(withdrawn=True).count() == 1
    for row in people.filter(withdrawn=False).select_related("occurrence"):
        assert row.occurrence.determination_id == row.taxon_id
        assert row.occurrence.determination_score == 1.0
    for row in people.filter(withdrawn=True).select_related("occurrence"):
        assert row.occurrence.determination_id != row.taxon_id
    disagreeing = [
        row
        for row in people.filter(withdrawn=False).select_related("occurrence")
        if (best := row.occurrence.best_prediction) and best.taxon_id != row.taxon_id
    ]
    assert disagreeing
    assert not project.occurrences.filter(determination=None).exists()


@pytest.mark.django_db
def test_refusal_is_a_sentence_and_writes_nothing(media: Path) -> None:
    make_taxon(name="Actias", rank=TaxonRank.FAMILY)

    with pytest.raises(CommandError, match="'Actias' is a genus here and a family in the database"):
        create()

    assert not Project.objects.exists()


@pytest.mark.django_db
def test_negative_seed_is_refused() -> None:
    with pytest.raises(CommandError, match="--seed must be 0 or more, got -1"):
        create("--seed=-1")


def test_same_seed_tells_the_same_night() -> None:
    assert tell_night(seed=3, trap=1, night=2) == tell_night(seed=3, trap=1, night=2)
    assert tell_night(seed=3, trap=1, night=2) != tell_night(seed=4, trap=1, night=2)


def test_same_seed_draws_the_same_moth() -> None:
    species = load_species()[40]

    assert draw_moth(species, seed=1).tobytes() == draw_moth(species, seed=1).tobytes()


def test_moth_is_in_consecutive_frames_nearly_at_one_place() -> None:
    for moth in tell_night(seed=1, trap=0, night=0):
        for former, latter in zip(moth.sightings, moth.sightings[1:], strict=False):
            assert latter.frame == former.frame + 1
            assert max(abs(a - b) for a, b in zip(former.centre, latter.centre, strict=True)) < 20


def test_species_are_enough_and_every_family_can_be_drawn() -> None:
    species = load_species()

    assert len({one.name for one in species}) == len(species) >= 300
    assert {one.family for one in species} == set(LOOKS)
    assert {one.name for one in species}.issuperset(REGULARS)


def test_large_moths_are_told_better_than_small_ones_and_mistaken_within_the_genus() -> None:
    labels = load_species()
    truth = next(index for index, one in enumerate(labels) if one.genus == "Catocala")
    rng = np.random.default_rng(1)

    small = [answer(truth, labels=labels, area=0.0004, rng=rng) for _ in range(60)]
    large = [answer(truth, labels=labels, area=0.008, rng=rng) for _ in range(60)]

    assert np.mean([max(row.scores) for row in small]) < 0.5
    assert np.mean([max(row.scores) for row in large]) > 0.7
    mistaken = [labels[row.winner].genus for row in large if row.winner != truth]
    assert set(mistaken) <= {"Catocala"}

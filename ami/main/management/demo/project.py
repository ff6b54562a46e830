"""The rows of the demo project."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from django.db import transaction

from ami.exchange.base import refresh_statistics, wait_for_turn
from ami.main.counts import refresh_counts
from ami.main.determinations import update_determinations
from ami.main.management.demo.classifier import answer
from ami.main.management.demo.frames import HEIGHT, WIDTH
from ami.main.management.demo.identifications import identify
from ami.main.management.demo.pictures import Crop, Frame, Studio
from ami.main.management.demo.species import Species, load_species
from ami.main.management.demo.story import NIGHTS, TIME_ZONE, TRAPS, Moth, tell_night
from ami.main.management.demo.taxonomy import ensure_classifier, ensure_detector, ensure_taxa
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    group_images_into_events,
)
from ami.ml.models import Algorithm

PROJECT = "Demo project"
CAPTURE_SET = "Demo captures"
MISTAKEN = 9  # every ninth moth is mistaken for a sister species


class Night(NamedTuple):
    """One night at one trap: its moths and captures."""

    moths: list[Moth]
    frames: list[Frame]


@dataclass
class _Rows:
    """Rows that are collected and written in bulk; `moths` has the order of `occurrences`."""

    captures: dict[str, SourceImage]
    taxa: list[int]  # of the labels
    detector: Algorithm
    classifier: Algorithm
    rng: np.random.Generator
    moths: list[Moth] = field(default_factory=list)
    occurrences: list[Occurrence] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    classifications: list[Classification] = field(default_factory=list)


def create_demo_project(*, seed: int) -> Project | None:
    """Draw the captures and write all rows in one transaction.

    Returns None if the project exists. The same seed always creates the same project.
    """
    with transaction.atomic():
        wait_for_turn("create_demo_project")
        if Project.objects.filter(name=PROJECT).exists():
            return None
        project = Project.objects.create(name=PROJECT)
        taxa = ensure_taxa(project, seed=seed)
        nights = _draw(project, seed=seed)
        rows = _Rows(
            captures={capture.path: capture for capture in project.captures.all()},
            taxa=[taxa[species.name] for species in load_species()],
            detector=ensure_detector(),
            classifier=ensure_classifier(),
            rng=np.random.default_rng([seed, 5]),
        )
        for night in nights:
            _collect(rows, night)
        _write(rows)
        identify(project, rows.occurrences, rows.moths, taxa, rows.classifications)
        _finish(project, rows)
    return project


def _draw(project: Project, *, seed: int) -> list[Night]:
    """Draw every night, and store deployments, captures and events."""
    studio = Studio(seed=seed)
    nights = []
    for trap, (name, _, latitude, longitude) in enumerate(TRAPS):
        deployment = Deployment.objects.create(
            project=project,
            name=name,
            latitude=latitude,
            longitude=longitude,
            time_zone=TIME_ZONE,
        )
        for number in range(len(NIGHTS)):
            moths = tell_night(seed=seed, trap=trap, night=number)
            night = Night(moths, studio.draw_night(moths, trap=trap, night=number))
            _store_captures(deployment, night)
            nights.append(night)
        group_images_into_events(deployment)
    return nights


def _store_captures(deployment: Deployment, night: Night) -> None:
    SourceImage.objects.bulk_create(
        SourceImage(
            project_id=deployment.project_id,
            deployment=deployment,
            path=frame.path,
            timestamp=frame.time,
            width=WIDTH,
            height=HEIGHT,
        )
        for frame in night.frames
    )


def _collect(rows: _Rows, night: Night) -> None:
    """Add the unsaved rows of a night."""
    first = rows.captures[night.frames[0].path]
    occurrences = [
        Occurrence(
            project_id=first.project_id,
            deployment_id=first.deployment_id,
            event_id=first.event_id,
        )
        for _ in night.moths
    ]
    rows.moths += night.moths
    rows.occurrences += occurrences
    for frame in night.frames:
        for crop in frame.crops:
            detection = _detection(rows, frame, crop, occurrences[crop.moth])
            rows.detections.append(detection)
            species = night.moths[crop.moth].species
            rows.classifications.append(_classification(rows, frame, crop, species, detection))


def _detection(rows: _Rows, frame: Frame, crop: Crop, occurrence: Occurrence) -> Detection:
    return Detection(
        source_image=rows.captures[frame.path],
        bbox=list(crop.box),
        timestamp=frame.time,
        path=crop.path,
        occurrence=occurrence,
        detection_algorithm=rows.detector,
        detection_score=round(float(rows.rng.uniform(0.55, 0.99)), 4),
    )


def _classification(
    rows: _Rows, frame: Frame, crop: Crop, species: Species, detection: Detection
) -> Classification:
    labels = load_species()
    guess = answer(
        labels.index(species),
        labels=labels,
        area=crop.area,
        rng=rows.rng,
        is_mistaken=crop.moth % MISTAKEN == MISTAKEN - 1,
    )
    return Classification(
        detection=detection,
        taxon_id=rows.taxa[guess.winner],
        score=guess.scores[guess.winner],
        scores=guess.scores,
        logits=guess.logits,
        timestamp=frame.time,
        algorithm=rows.classifier,
        category_map_id=rows.classifier.category_map_id,
    )


def _write(rows: _Rows) -> None:
    Occurrence.objects.bulk_create(rows.occurrences)
    Detection.objects.bulk_create(rows.detections)
    Classification.objects.bulk_create(rows.classifications, batch_size=100)


def _finish(project: Project, rows: _Rows) -> None:
    refresh_statistics(SourceImage, Detection, Classification, Occurrence)
    update_determinations(occurrence.pk for occurrence in rows.occurrences)
    SourceImageCollection.objects.create(
        project=project, name=CAPTURE_SET, method=SourceImageCollection.Method.FULL
    ).populate_sample()
    refresh_counts()

"""A small world without faults, and the registry of functions that damage it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Model

from ami.base.tests.factories import (
    NIGHT,
    make_algorithm,
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.jobs.models import Job
from ami.main.counts import update_capture_counts, update_deployment_counts, update_event_counts
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    Taxon,
    TaxonRank,
)
from ami.ml.models import AlgorithmCategoryMap

TABLES = (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    Taxon,
    AlgorithmCategoryMap,
)

Rows = set[tuple[type[Model], int]]
FAULTS: dict[str, list[Callable[["World"], Rows]]] = defaultdict(list)


@dataclass(frozen=True)
class World:
    """A night with two captures and two occurrences.

    One occurrence is on both captures. On the first, `masked` supersedes `raw`; on the second,
    `newer` supersedes `older` of the same algorithm. A person has identified the other occurrence,
    whose detection is on the second capture.
    """

    project: Project
    deployment: Deployment
    event: Event
    captures: list[SourceImage]
    occurrence: Occurrence
    detections: list[Detection]
    raw: Classification
    masked: Classification
    older: Classification
    newer: Classification
    identified: Occurrence
    species: Taxon
    genus: Taxon
    category_map: AlgorithmCategoryMap
    job: Job


def fault(key: str) -> Callable[[Callable[[World], Rows]], Callable[[World], Rows]]:
    """Register a function that damages a world and returns the rows that the check must find."""

    def declare(make: Callable[[World], Rows]) -> Callable[[World], Rows]:
        FAULTS[key].append(make)
        return make

    return declare


def execute(statement: str, *params: Any) -> list[Any]:
    """Run raw SQL and return the first column of its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def classify(detection: Detection, hours: int, **fields: Any) -> Classification:
    vectors = {"scores": [0.25, 0.75], "logits": [0.0, 1.0]}
    timestamp = NIGHT + timedelta(hours=hours)
    return make_classification(**vectors, detection=detection, timestamp=timestamp, **fields)


def make_taxonomy(project: Project) -> tuple[Taxon, Taxon, AlgorithmCategoryMap]:
    """Create a genus, its species, and a category map with both."""
    genus = make_taxon(rank=TaxonRank.GENUS)
    species = make_taxon(parent=genus)
    project.taxa.set([genus, species])
    category_map = AlgorithmCategoryMap.objects.create(
        data=[{"index": 0, "label": genus.name}, {"index": 1, "label": species.name}]
    )
    return genus, species, category_map


def make_world() -> World:
    project = make_project()
    deployment = make_deployment(project=project)
    place = {"project": project, "deployment": deployment}
    event = Event.objects.create(group_by="2022-06-20", **place)
    captures = [make_capture(deployment=deployment, event=event) for _ in range(2)]
    genus, species, category_map = make_taxonomy(project)
    job = Job.objects.create(name="Run", project=project)
    occurrence, identified = (make_occurrence(event=event, **place) for _ in range(2))
    detections = [
        make_detection(source_image=captures[0], occurrence=occurrence),
        make_detection(source_image=captures[1], occurrence=occurrence),
        make_detection(source_image=captures[1], occurrence=identified, bbox=[300, 100, 400, 200]),
    ]
    classifier, masking = (make_algorithm(category_map=category_map) for _ in range(2))

    common = {"taxon": species, "algorithm": classifier, "job": job}
    raw = classify(detections[0], 0, **common, terminal=False, score=0.75)
    masked = classify(
        detections[0], 1, **common | {"algorithm": masking}, applied_to=raw, score=0.75
    )
    older = classify(detections[1], 0, **common | {"taxon": genus}, terminal=False, score=0.5)
    newer = classify(detections[1], 1, **common, score=0.5)
    classify(detections[2], 0, **common)
    Identification.objects.create(occurrence=identified, taxon=genus, user=make_user())
    occurrence.save()
    update_capture_counts(capture.pk for capture in captures)
    update_event_counts([event.pk])
    update_deployment_counts([deployment.pk])
    return World(
        project=project,
        deployment=deployment,
        event=event,
        captures=captures,
        occurrence=occurrence,
        detections=detections,
        raw=raw,
        masked=masked,
        older=older,
        newer=newer,
        identified=identified,
        species=species,
        genus=genus,
        category_map=category_map,
        job=job,
    )

"""A small world without a fault, and the registry of what can be broken in one."""

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
    """A night of two captures. One occurrence is on both, twice classified: `raw` was masked by
    `masked` on the first, `older` was superseded by `newer` of its algorithm on the second. A
    person has identified the other occurrence, whose detection is on the second capture.
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
    """Declare that the function breaks a world so that the check finds the rows it returns."""

    def declare(make: Callable[[World], Rows]) -> Callable[[World], Rows]:
        FAULTS[key].append(make)
        return make

    return declare


def execute(statement: str, *params: Any) -> list[Any]:
    """Run raw SQL; the first column of the rows it returns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def make_world() -> World:
    project = make_project()
    deployment = make_deployment(project=project)
    place = {"project": project, "deployment": deployment}
    event = Event.objects.create(group_by="2022-06-20", **place)
    captures = [make_capture(deployment=deployment, event=event) for _ in range(2)]
    genus = make_taxon(rank=TaxonRank.GENUS)
    species = make_taxon(parent=genus)
    taxa = [genus, species]
    project.taxa.set(taxa)
    category_map = AlgorithmCategoryMap.objects.create(
        data=[{"index": index, "label": taxon.name} for index, taxon in enumerate(taxa)]
    )
    job = Job.objects.create(name="Run", project=project)
    occurrence, identified = (make_occurrence(event=event, **place) for _ in range(2))
    detections = [
        make_detection(source_image=capture, occurrence=whose)
        for capture, whose in zip(
            [*captures, captures[1]], [occurrence, occurrence, identified], strict=True
        )
    ]
    classifier, masking = (make_algorithm(category_map=category_map) for _ in range(2))

    def classify(number: int, hours: int, **fields: Any) -> Classification:
        return make_classification(
            **{
                "detection": detections[number],
                "taxon": species,
                "algorithm": classifier,
                "scores": [0.25, 0.75],
                "logits": [0.0, 1.0],
                "timestamp": NIGHT + timedelta(hours=hours),
                "job": job,
            }
            | fields
        )

    raw = classify(0, 0, terminal=False, score=0.75)
    masked = classify(0, 1, algorithm=masking, applied_to=raw, score=0.75)
    older = classify(1, 0, terminal=False, taxon=genus, score=0.5)
    newer = classify(1, 1, score=0.5)
    classify(2, 0)
    Identification.objects.create(occurrence=identified, taxon=genus, user=make_user())
    occurrence.save()
    update_capture_counts(capture.pk for capture in captures)
    update_event_counts([event.pk])
    update_deployment_counts([deployment.pk])
    return World(
        project,
        deployment,
        event,
        captures,
        occurrence,
        detections,
        raw,
        masked,
        older,
        newer,
        identified,
        species,
        genus,
        category_map,
        job,
    )

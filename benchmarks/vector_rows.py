"""Classifications with vectors, for the benchmarks of masking and rollup."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from ami.base.vectors import read_vectors, write_rows
from ami.jobs.models import Job
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    TaxaList,
    Taxon,
    TaxonRank,
)
from ami.ml.models import Algorithm, AlgorithmCategoryMap, AlgorithmTaskType
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.deriving import softmax
from ami.ml.post_processing.service import JOB_TYPE

NUMBERS_AT_ONCE = 1_000_000
PER_CAPTURE = 15


@dataclass(frozen=True)
class VectorSizes:
    """The number of classifications and of classes; half of the classes are on a list.

    A genus has 5 species, a family 10 genera. `with_scores` also stores the scores. An occurrence
    has `frames` detections; if there are several, they have boxes, and half of them sit still.
    """

    rows: int
    classes: int
    with_scores: bool = True
    frames: int = 1


def fill(sizes: VectorSizes) -> None:
    """Write the rows in one transaction, each with an occurrence and a detection."""
    with transaction.atomic():
        species = _species(sizes.classes)
        TaxaList.objects.create(name="Half").taxa.set(species[::2])
        labels = [{"index": index, "label": one.name} for index, one in enumerate(species)]
        classifier = Algorithm.objects.create(
            name="Classifier",
            task_type=AlgorithmTaskType.CLASSIFICATION,
            category_map=AlgorithmCategoryMap.objects.create(data=labels),
        )
        detections = _detections(sizes.rows, frames=sizes.frames)
        size = max(1, NUMBERS_AT_ONCE // sizes.classes)
        for number, start in enumerate(range(0, sizes.rows, size)):
            ids = detections[start : start + size]
            logits = _logits(len(ids), sizes.classes, seed=number)
            _write(ids, logits, classifier, [one.pk for one in species], sizes.with_scores)


def _species(classes: int) -> list[Taxon]:
    families = [Taxon(name=f"Family {n}", rank=TaxonRank.FAMILY) for n in range(classes // 50 + 1)]
    Taxon.objects.bulk_create(families)
    genera = [
        Taxon(name=f"Genus {n}", rank=TaxonRank.GENUS, parent=families[n // 10])
        for n in range(classes // 5 + 1)
    ]
    Taxon.objects.bulk_create(genera)
    species = [Taxon(name=f"Species {n}", parent=genera[n // 5]) for n in range(classes)]
    return Taxon.objects.bulk_create(species)


def _detections(rows: int, *, frames: int) -> list[int]:
    project = Project.objects.create(name="Vectors")
    deployment = Deployment.objects.create(project=project, name="Trap")
    captures = SourceImage.objects.bulk_create(
        SourceImage(
            deployment=deployment, project=project, path=f"{n}.jpg", width=4096, height=2160
        )
        for n in range(-(-rows // PER_CAPTURE))
    )
    SourceImageCollection.objects.create(project=project, name="All").images.set(captures)
    occurrences = Occurrence.objects.bulk_create(
        Occurrence(project=project, deployment=deployment) for _ in range(-(-rows // frames))
    )
    detections = Detection.objects.bulk_create(
        Detection(
            source_image=captures[n // PER_CAPTURE if frames == 1 else n % len(captures)],
            occurrence=occurrences[n // frames],
            bbox=None if frames == 1 else [left := n % frames // 2 * 200, 0, left + 100, 100],
        )
        for n in range(rows)
    )
    return [detection.pk for detection in detections]


def _logits(rows: int, classes: int, *, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Noise with one best class and, next to it, a second; the best may not be on the list."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1, (rows, classes))
    best = random.integers(0, classes - 1, rows)
    height = np.log(classes) + random.uniform(0, 4, rows)
    logits[np.arange(rows), best] += height
    logits[np.arange(rows), best + 1] += height - 0.5
    return logits


def _write(
    detections: list[int], logits: Any, classifier: Algorithm, taxa: list[int], with_scores: bool
) -> None:
    now, shares = timezone.now(), softmax(logits)
    constants = {
        "created_at": now,
        "updated_at": now,
        "timestamp": now,
        "terminal": True,
        "algorithm_id": classifier.pk,
        "category_map_id": classifier.category_map_id,
        "metadata": {},
    }
    columns = {
        "detection_id": detections,
        "taxon_id": [taxa[place] for place in logits.argmax(axis=1)],
        "score": shares.max(axis=1),
        "logits": logits,
    }
    columns |= {"scores": shares} if with_scores else {}
    write_rows(Classification, columns, constants=constants)


def make_job(task_cls: type[BasePostProcessingTask]) -> Job:
    return Job.objects.create(name=task_cls.name, job_type_key=JOB_TYPE)


def options(task_cls: type[BasePostProcessingTask]) -> dict[str, Any]:
    """All rows as scope, and the seeded list and classifier if the method needs them."""
    chosen = {"source_image_collection_id": SourceImageCollection.objects.get().pk}
    if "taxa_list_id" in task_cls.config_schema.__fields__:
        chosen["taxa_list_id"] = TaxaList.objects.get().pk
        chosen["algorithm_id"] = Algorithm.objects.earliest("pk").pk
    return chosen


def run_timed(task_cls: type[BasePostProcessingTask]) -> list[float]:
    """Run as a worker does; return the times of the start and of the end of each batch, in s."""
    times: list[float] = [perf_counter()]
    task = task_cls(job=make_job(task_cls), **options(task_cls))
    process: Callable[[Batch], None] = task.process

    def timed_process(batch: Batch) -> None:
        process(batch)
        times.append(perf_counter())

    task.process = timed_process  # type: ignore[method-assign]
    task.run()
    return times


def reading_alone(column: str) -> None:
    """Read the vectors of all rows, 1,000 rows at a time, and do nothing with them."""
    for ids in _ids():
        read_vectors(Classification.objects.filter(pk__any_of=set(ids)).values_list("pk", column))


def arrays_alone(*columns: str) -> None:
    """Read the logits of all rows and write `columns` of the same size, the least work possible."""
    with transaction.atomic():
        for ids in _ids():
            rows = Classification.objects.filter(pk__in=ids)
            vectors = list(read_vectors(rows.values_list("pk", "logits")).values())
            now = timezone.now()
            detections = list(rows.values_list("detection_id", flat=True))
            constants = {"created_at": now, "updated_at": now, "timestamp": now, "terminal": True}
            written = {"detection_id": detections} | dict.fromkeys(columns, vectors)
            write_rows(Classification, written, constants=constants | {"metadata": {}})


def _ids() -> Iterator[list[int]]:
    ids = list(Classification.objects.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), 1_000):
        yield ids[start : start + 1_000]

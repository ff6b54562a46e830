"""The pages of rows with much to show, in a database of full size."""

from collections.abc import Iterator
from functools import partial

from django.db import transaction
from django.urls import reverse

from ami.jobs.models import Job, JobPart
from ami.main.management.scale import Sizes
from ami.main.models import (
    Classification,
    Detection,
    Event,
    Occurrence,
    SourceImage,
    SourceImageCollection,
    Taxon,
)
from ami.ml.models import AlgorithmCategoryMap
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from benchmarks import databases
from benchmarks.changelists import Site
from benchmarks.report import Figure
from benchmarks.timing import QueryCounter, interleaved, timed

TITLE = "Pages of rows"
ROUNDS = 15
WARM_UP = 3
DETECTIONS = 500
CLASSES = 29_000
SIGNING_IN = 2  # the queries for the session and its user


def run(*, quick: bool) -> list[Figure]:
    label, sizes = ("quick_full", Sizes().scaled(0.01)) if quick else ("full", Sizes())
    name = databases.seeded(label, sizes)
    site = Site(name)
    try:
        with databases.using(site.database), transaction.atomic():
            figures = list(_measured(site, rounds=1 if quick else ROUNDS))
            transaction.set_rollback(True)
        return figures
    finally:
        site.database.close()
        if quick:
            databases.drop(name)


def _measured(site: Site, *, rounds: int) -> Iterator[Figure]:
    occurrence = _many_detections()
    classification = _many_classes()
    pages = {
        f"occurrence of {DETECTIONS} detections": ("occurrence", occurrence.pk),
        f"classification of {CLASSES:,} classes": ("classification", classification.pk),
        "its detection": ("detection", classification.detection_id),
        "its capture": ("sourceimage", classification.detection.source_image_id),
        "a night": ("event", Event.objects.latest("pk").pk),
    }
    for title, (model, pk) in pages.items():
        path = reverse(f"admin:main_{model}_change", args=[pk])
        yield from _page(site, title, path, rounds=rounds, queries=20, milliseconds=300)
    path = reverse("admin:jobs_job_live", args=[_running_job().pk])
    title = "live request of a running Job"
    yield from _page(site, title, path, rounds=rounds, queries=SIGNING_IN + 3, milliseconds=15)


def _page(
    site: Site, title: str, path: str, *, rounds: int, queries: int, milliseconds: int
) -> Iterator[Figure]:
    measures = {title: partial(_seconds, site, path)}
    interleaved(measures, rounds=WARM_UP)
    seconds = interleaved(measures, rounds=rounds)[title]
    with QueryCounter() as counter:
        site.client.get(path)
    yield Figure(f"{title}: queries", counter.count, at_most=queries)
    yield Figure(title, 1000 * seconds, "ms", at_most=milliseconds)


def _running_job() -> Job:
    """A run of 100 parts, one of which is at work."""
    capture_set = SourceImageCollection.objects.latest("pk")
    config = {"source_image_collection_id": capture_set.pk}
    (job,) = launch(SmallSizeFilterTask, [LaunchRow("A run", capture_set.project, config)])
    JobPart.claim(job.parts.get().pk, task_id=job.task_id)
    parts = [JobPart(job=job, number=number, rows_total=5000) for number in range(2, 101)]
    JobPart.objects.bulk_create(parts)
    return job


def _seconds(site: Site, path: str) -> float:
    return timed(partial(site.client.get, path)).cpu


def _many_detections() -> Occurrence:
    """An occurrence on many captures, each classified, and each result superseded."""
    capture = SourceImage.objects.latest("pk")
    taxon = Taxon.objects.earliest("pk")
    occurrence = Occurrence.objects.create(project=capture.project, deployment=capture.deployment)
    detections = Detection.objects.bulk_create(
        Detection(source_image=capture, occurrence=occurrence, bbox=[1, 2, 3, 4], path="a.jpg")
        for _ in range(DETECTIONS)
    )
    sources = Classification.objects.bulk_create(
        Classification(detection=one, taxon=taxon, score=0.5, terminal=False) for one in detections
    )
    Classification.objects.bulk_create(
        Classification(detection_id=one.detection_id, taxon=taxon, score=0.5, applied_to=one)
        for one in sources
    )
    occurrence.save()
    return occurrence


def _many_classes() -> Classification:
    """A classification by a map of many classes, applied to another one."""
    labels = [f"Genus species-{number}" for number in range(CLASSES)]
    wide = AlgorithmCategoryMap.objects.create(labels=labels)
    shares = [1 / (number + 2) for number in range(CLASSES)]
    detection = Detection.objects.latest("pk")
    source = Classification.objects.create(
        detection=detection, logits=shares, category_map=wide, terminal=False
    )
    return Classification.objects.create(
        detection=detection, scores=shares, category_map=wide, applied_to=source
    )

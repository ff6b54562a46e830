"""Simple implementations to compare with: row by row, and in single statements.

Both small size filters expect the rows of :func:`prepare` and sound boxes, and do not handle broken
rows. The single statements also support no second run, counters or progress.
"""

import json
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from ami.jobs.models import Job
from ami.main.models import Classification, Detection, Occurrence, Taxon, TaxonRank
from ami.main.models.taxon import NOT_IDENTIFIABLE
from ami.ml.models import Algorithm, AlgorithmTaskType
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask

THRESHOLD = 0.0008
METADATA = {"size_threshold": THRESHOLD}

INSERT = """
INSERT INTO main_classification (
    created_at, updated_at, timestamp, detection_id, taxon_id, score, terminal, algorithm_id,
    job_id, metadata, applied_to_id)
SELECT now(), now(), now(), d.id, %(taxon)s, 1, true, %(algorithm)s, %(job)s,
       %(metadata)s, (
           SELECT id FROM main_classification WHERE detection_id = d.id AND terminal
           ORDER BY score DESC NULLS LAST, timestamp DESC, id DESC LIMIT 1
       )
FROM main_sourceimagecollection_images i
JOIN main_sourceimage s ON s.id = i.sourceimage_id
JOIN main_detection d ON d.source_image_id = s.id
WHERE i.sourceimagecollection_id = %(collection)s
  AND (LEAST(d.bbox[3], s.width) - GREATEST(d.bbox[1], 0))
      * (LEAST(d.bbox[4], s.height) - GREATEST(d.bbox[2], 0))
      / (s.width::float8 * s.height) < %(threshold)s
"""

DEMOTE = """
UPDATE main_classification c SET terminal = false, updated_at = now()
FROM main_classification flag
WHERE flag.algorithm_id = %(algorithm)s AND c.detection_id = flag.detection_id
  AND c.terminal AND c.id <> flag.id
"""

DETERMINE = """
WITH touched AS (
    SELECT DISTINCT d.occurrence_id AS id
    FROM main_classification flag JOIN main_detection d ON d.id = flag.detection_id
    WHERE flag.algorithm_id = %(algorithm)s AND d.occurrence_id IS NOT NULL
), person AS (
    SELECT DISTINCT ON (occurrence_id) occurrence_id, taxon_id
    FROM main_identification JOIN touched ON touched.id = occurrence_id
    WHERE NOT withdrawn AND taxon_id IS NOT NULL
    ORDER BY occurrence_id, created_at DESC, main_identification.id DESC
), machine AS (
    SELECT DISTINCT ON (d.occurrence_id) d.occurrence_id, c.taxon_id, c.score
    FROM touched
    JOIN main_detection d ON d.occurrence_id = touched.id
    JOIN main_classification c ON c.detection_id = d.id
    JOIN main_taxon t ON t.id = c.taxon_id
    ORDER BY d.occurrence_id, c.terminal DESC, t.identifiable DESC, c.score DESC NULLS LAST,
             c.timestamp DESC, c.id DESC
)
UPDATE main_occurrence o
SET determination_id = rule.taxon_id, determination_score = rule.score, updated_at = now()
FROM (
    SELECT occurrence_id, COALESCE(person.taxon_id, machine.taxon_id) AS taxon_id,
           CASE WHEN person.taxon_id IS NULL THEN machine.score ELSE 1 END AS score
    FROM machine LEFT JOIN person USING (occurrence_id)
) rule
WHERE o.id = rule.occurrence_id
  AND (o.determination_id, o.determination_score) IS DISTINCT FROM (rule.taxon_id, rule.score)
"""


class Author(NamedTuple):
    """The algorithm that writes the flags, and their taxon."""

    algorithm: Algorithm
    taxon: Taxon


def prepare() -> Author:
    algorithm, _ = Algorithm.objects.get_or_create(
        key=SmallSizeFilterTask.key,
        defaults={
            "name": SmallSizeFilterTask.name,
            "task_type": AlgorithmTaskType.POST_PROCESSING,
        },
    )
    taxon, _ = Taxon.objects.get_or_create(
        name=NOT_IDENTIFIABLE, defaults={"rank": TaxonRank.UNKNOWN, "identifiable": False}
    )
    return Author(algorithm, taxon)


def single_statements(collection_id: int, *, job: Job) -> None:
    """Flag in three statements; no row leaves the database."""
    author = prepare()
    params: dict[str, int | float | str] = {
        "algorithm": author.algorithm.pk,
        "taxon": author.taxon.pk,
        "collection": collection_id,
        "job": job.pk,
        "metadata": json.dumps(METADATA),
        "threshold": THRESHOLD,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (INSERT, DEMOTE, DETERMINE):
            cursor.execute(statement, params)


def row_by_row(collection_id: int, *, job: Job) -> None:
    """Flag with one object per row, written 100 at a time, and determine with `save()`."""
    author = prepare()
    flags: list[Classification] = []
    occurrences: set[Occurrence] = set()
    job.progress.add_stage("Filter")
    detections = Detection.objects.filter(source_image__collections=collection_id)
    for number, detection in enumerate(detections.iterator(), start=1):
        if number % 100 == 0:
            job.progress.add_or_update_stage_param("filter", "Detections checked", number)
            job.save()
        if not _is_small(detection) or _is_flagged(detection, author):
            continue
        flags.append(_flag(detection, author, job))
        if detection.occurrence is not None:
            occurrences.add(detection.occurrence)
        if len(flags) >= 100:
            Classification.objects.bulk_create(flags)
            flags = []
    Classification.objects.bulk_create(flags)
    for occurrence in occurrences:
        occurrence.save()


def _is_small(detection: Detection) -> bool:
    capture = detection.source_image
    if not (detection.bbox and capture.width and capture.height):
        return False
    x1, y1, x2, y2 = detection.bbox
    width = min(x2, capture.width) - max(x1, 0)
    height = min(y2, capture.height) - max(y1, 0)
    return width * height / (capture.width * capture.height) < THRESHOLD


def _is_flagged(detection: Detection, author: Author) -> bool:
    flags = detection.classifications.filter(algorithm=author.algorithm, taxon=author.taxon)
    return flags.filter(terminal=True).exists()


def _flag(detection: Detection, author: Author, job: Job) -> Classification:
    terminal = detection.classifications.filter(terminal=True)
    former = terminal.order_by(F("score").desc(nulls_last=True), "-timestamp", "-pk").first()
    terminal.update(terminal=False)
    return Classification(
        detection=detection,
        taxon=author.taxon,
        score=1.0,
        terminal=True,
        timestamp=timezone.now(),
        algorithm=author.algorithm,
        applied_to=former,
        job=job,
        metadata=METADATA,
    )


def determine_row_by_row() -> None:
    """Determine each occurrence without a determination: load, recompute, `save()`."""
    for occurrence in Occurrence.objects.filter(determination=None).iterator():
        occurrence.save()

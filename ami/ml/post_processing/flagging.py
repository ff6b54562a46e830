"""Flag detections as a taxon, such as "Not identifiable", and supersede their classifications."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from ami.base.ids import id_array
from ami.main.models import Classification, Taxon, TaxonRank
from ami.main.models.taxon import NOT_IDENTIFIABLE
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.changes import NO_CHANGE, Change, Ids
from ami.ml.post_processing.scopes import existing_row

# The name under which a page lists what a run consulted.
TAXON = f"Taxon “{NOT_IDENTIFIABLE}”"

# Demote the current classifications, and record the best of them as the one that the flag is
# applied to. A detection that already has this flag is left alone. No index serves the comparison
# of algorithm and taxon, so flags are read by detection. Otherwise, PostgreSQL might read all flags
# that the method ever wrote, for each batch.
FLAG = """
WITH flagged AS MATERIALIZED (
    SELECT id, project_id, occurrence_id FROM main_detection
    WHERE id = ANY(%(detections)s::bigint[]) AND id NOT IN (
        SELECT detection_id FROM main_classification
        WHERE detection_id = ANY(%(detections)s::bigint[]) AND terminal
          AND (algorithm_id, taxon_id) IS NOT DISTINCT FROM (%(author)s, %(taxon)s)
    )
), former AS (
    UPDATE main_classification SET terminal = false, updated_at = now()
    WHERE detection_id IN (SELECT id FROM flagged) AND terminal
    RETURNING detection_id, id, taxon_id, score, timestamp
), superseded AS (
    SELECT DISTINCT ON (detection_id) detection_id, id FROM former
    ORDER BY detection_id, taxon_id IS NULL, score DESC NULLS LAST, timestamp DESC, id DESC
), flag AS (
    INSERT INTO main_classification (
        created_at, updated_at, timestamp, detection_id, project_id, taxon_id, score, terminal,
        algorithm_id, applied_to_id, job_id, metadata
    )
    SELECT now(), now(), now(), flagged.id, flagged.project_id, %(taxon)s, 1.0, true,
           %(author)s, superseded.id, %(job)s, %(metadata)s::jsonb
    FROM flagged LEFT JOIN superseded ON superseded.detection_id = flagged.id
    ORDER BY flagged.id
)
SELECT count(*), COALESCE(array_agg(DISTINCT occurrence_id)
                          FILTER (WHERE occurrence_id IS NOT NULL), '{}')
FROM flagged
"""


def flag_detections(
    task: BasePostProcessingTask,
    detection_ids: Iterable[int],
    *,
    taxon: Taxon,
    metadata: Mapping[str, Any] | None = None,
) -> int:
    """Classify these detections as `taxon`, with a score of 1, as `task`; return how many.

    The new classifications are terminal, and `metadata` is stored with each. Those that were
    terminal are demoted, and the best of them becomes `applied_to`. A detection that `task` has
    already flagged as `taxon` is left alone. Updates the determinations, and counts
    `detections_flagged`. The number of queries does not depend on the number of detections.
    """
    if not (ids := list(detection_ids)):
        return 0
    values: dict[str, Any] = {
        "detections": id_array(ids),
        "taxon": taxon.pk,
        "author": task.algorithm.pk,
        "job": task.job.pk if task.job else None,
        "metadata": json.dumps(dict(metadata or {})),
    }
    with connection.cursor() as cursor:
        cursor.execute(FLAG, values)
        flagged, occurrence_ids = cursor.fetchone()
    task.count(detections_flagged=flagged)
    task.update_determinations(occurrence_ids)
    return int(flagged)


def compare_flags(
    task: BasePostProcessingTask,
    detections: Ids,
    choices: Iterable[NDArray[np.bool_]],
    *,
    taxon: Taxon,
) -> Iterator[Change]:
    """What :func:`flag_detections` would change for each choice among these detections.

    `detections` holds distinct ids (n), and a choice says of each whether it is flagged (n).
    """
    columns = ("pk", "detection_id", "algorithm_id", "taxon_id")
    current = Classification.objects.filter(detection__any_of=set(detections.tolist()))
    read = current.filter(terminal=True).values_list(*columns)
    rows = np.array([[value or 0 for value in row] for row in read], dtype=np.int64)
    pks, of, authors, taxa = rows.reshape(-1, 4).T
    order = np.argsort(detections)
    places = order[np.searchsorted(detections, of, sorter=order)]
    is_new = np.ones(len(detections), dtype=bool)
    is_new[places[(authors == task.algorithm.pk) & (taxa == taxon.pk)]] = False
    for chosen in choices:
        flagged = chosen & is_new
        ids = detections[flagged]
        yield NO_CHANGE._replace(
            superseded=pks[flagged[places]],
            detections=ids,
            taxa=np.full(len(ids), taxon.pk),
            scores=np.ones(len(ids)),
        )


def consult_not_identifiable() -> dict[str, Any]:
    """The taxon "Not identifiable", as part of :meth:`PlannedWork.consult`."""
    named = Taxon.objects.filter(name=NOT_IDENTIFIABLE)
    return {TAXON: named.values_list("pk", flat=True).first()}


def not_identifiable(consulted: Mapping[str, Any]) -> Taxon:
    """The taxon that :func:`consult_not_identifiable` found; its row is created if there was none.

    Raises JobFailedError if the row no longer exists.
    """
    fields = {"rank": TaxonRank.UNKNOWN, "identifiable": False}
    if pk := consulted[TAXON]:
        taxon = existing_row(Taxon, pk)
    else:
        taxon, _ = Taxon.objects.get_or_create(name=NOT_IDENTIFIABLE, defaults=fields)
    # An imported row may have a rank and be identifiable; it would then win over good frames.
    Taxon.objects.filter(pk=taxon.pk).exclude(**fields).update(**fields)
    return taxon

"""What tracking reads and writes, with one statement per batch for each."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from django.db import connection

from ami.base.vectors import read_vectors
from ami.main.models import Detection
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.boxes import BOX_FAULTS
from ami.ml.post_processing.tracking.links import Floats, Sightings, direction_of
from ami.ml.post_processing.tracking.tracks import Placement, Row

# Lock rows in the same order as an identification in the admin, to avoid deadlocks: first the
# identification, then its occurrence.
HOLD_IDENTIFICATIONS = """
SELECT FROM main_identification WHERE occurrence_id IN (SELECT occurrence_id FROM ({scope}) d)
ORDER BY id FOR UPDATE
"""
HOLD_OCCURRENCES = """
SELECT FROM main_occurrence WHERE id IN (SELECT occurrence_id FROM ({scope}) d)
ORDER BY id FOR UPDATE
"""

# The place of a capture counts all captures of its night, including those without detections.
READ = """
WITH detection AS MATERIALIZED ({scope}), place AS MATERIALIZED (
    SELECT id, row_number() OVER (PARTITION BY event_id ORDER BY timestamp, id) AS place
    FROM main_sourceimage
    WHERE timestamp IS NOT NULL AND event_id IN (
        SELECT s.event_id FROM detection d JOIN main_sourceimage s ON s.id = d.source_image_id
    )
), sighting AS (
    SELECT d.*, s.event_id, e.project_id, s.timestamp, place.place, s.width, s.height,
           d.bbox[1] AS x1, d.bbox[2] AS y1, d.bbox[3] AS x2, d.bbox[4] AS y2,
           (home.event_id <> s.event_id) IS TRUE AS strayed
    FROM detection d
    JOIN main_sourceimage s ON s.id = d.source_image_id
    LEFT JOIN main_event e ON e.id = s.event_id
    LEFT JOIN main_occurrence home ON home.id = d.occurrence_id
    LEFT JOIN place ON place.id = s.id
)
SELECT id, event_id, source_image_id, occurrence_id, next_detection_id, link_cost,
       strayed, identified IS NOT NULL,
       CASE
        WHEN event_id IS NULL THEN 'capture without a night'
        WHEN project_id IS NULL THEN 'night without a project'
        WHEN timestamp IS NULL THEN 'capture without a time'
        {faults}
       END,
       place, extract(epoch FROM timestamp)::float8, width, height, x1, y1, x2, y2
FROM sighting
LEFT JOIN LATERAL (
    SELECT true FROM main_identification i
    WHERE i.occurrence_id = sighting.occurrence_id AND NOT i.withdrawn LIMIT 1
) person (identified) ON true
ORDER BY event_id, place, id
"""

# The arrays are the columns of a table of new values, so that a batch needs one statement.
MOVE = """
UPDATE main_detection d
SET occurrence_id = w.occurrence, next_detection_id = w.next, link_cost = w.cost,
    updated_at = now()
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::float8[]) w (id, occurrence, next, cost)
WHERE d.id = w.id
"""

# Remove links from other detections to those whose links have just been decided.
UNLINK = """
UPDATE main_detection SET next_detection_id = NULL, link_cost = NULL, updated_at = now()
WHERE next_detection_id = ANY(%(ids)s) AND NOT id = ANY(%(ids)s)
"""

# An occurrence without detections is deleted next; its identifications, all withdrawn, are kept.
MOVE_IDENTIFICATIONS = """
UPDATE main_identification i SET occurrence_id = m.keeper, updated_at = now()
FROM unnest(%s::bigint[], %s::bigint[]) m (id, keeper)
WHERE i.occurrence_id = m.id
  AND NOT EXISTS (SELECT FROM main_detection d WHERE d.occurrence_id = m.id)
"""

# An occurrence that another transaction has given a detection meanwhile stays.
DELETE_EMPTIED = """
DELETE FROM main_occurrence o
WHERE id = ANY(%s) AND NOT EXISTS (SELECT FROM main_detection d WHERE d.occurrence_id = o.id)
"""


def hold(batch: Batch) -> None:
    """Lock the batch's occurrences against new identifications until the transaction ends."""
    scope, params = batch.detections.order_by().values("occurrence_id").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(HOLD_IDENTIFICATIONS.format(scope=scope), params)
        cursor.execute(HOLD_OCCURRENCES.format(scope=scope), params)


def read_rows(batch: Batch) -> list[Row]:
    """The batch's detections, in the order of night, capture and id."""
    columns = (
        "id", "source_image_id", "occurrence_id", "bbox", "next_detection_id", "link_cost",
    )  # fmt: skip
    scope, params = batch.detections.order_by().values(*columns).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(READ.format(scope=scope, faults=BOX_FAULTS), params)
        return [Row(*row) for row in cursor.fetchall()]


def read_directions(ids: Sequence[int]) -> dict[int, Floats]:
    """The feature vectors, scaled to length 1, by the id of the detection."""
    if not ids:
        return {}
    vectors = read_vectors(
        Detection.objects.filter(pk__any_of=set(ids), similarity_vector__isnull=False)
        .order_by()
        .values_list("pk", "similarity_vector")
    )
    found: dict[int, Floats] = {}
    while vectors:  # one at a time, so that no vector is in memory twice
        pk, vector = vectors.popitem()
        if vector is not None and (direction := direction_of(vector)) is not None:
            found[pk] = direction
    return found


def to_sightings(rows: Sequence[Row], directions: Mapping[int, Floats]) -> Sightings:
    """The rows of one night as arrays."""
    own = [directions.get(row.id, np.empty(0)) for row in rows]
    lengths = np.array([len(direction) for direction in own], dtype=np.intp)
    filled = np.zeros((len(rows), lengths.max(initial=0)))
    for row, direction in zip(filled, own, strict=True):
        row[: len(direction)] = direction
    return Sightings(
        boxes=np.array([(row.x1, row.y1, row.x2, row.y2) for row in rows], dtype=float),
        frames=np.array([(row.width, row.height) for row in rows], dtype=float),
        places=np.array([row.place for row in rows]),
        times=np.array([row.time for row in rows], dtype=float),
        directions=filled,
        lengths=lengths,
    )


def move(placements: Iterable[Placement]) -> None:
    """Write the occurrence, the next detection and the link cost of detections."""
    with connection.cursor() as cursor:
        cursor.execute(MOVE, [list(column) for column in zip(*placements, strict=True)])


def unlink_others(ids: Sequence[int]) -> None:
    """Remove the links to these detections from other detections."""
    with connection.cursor() as cursor:
        cursor.execute(UNLINK, {"ids": list(ids)})


def delete_emptied(keepers: Mapping[int, int | None]) -> int:
    """Delete the occurrences in `keepers` that have no detection left; return how many.

    Their identifications, all of them withdrawn, move to the occurrences that `keepers` maps to.
    """
    ids = list(keepers)
    with connection.cursor() as cursor:
        cursor.execute(MOVE_IDENTIFICATIONS, [ids, list(keepers.values())])
        cursor.execute(DELETE_EMPTIED, [ids])
        return int(cursor.rowcount)

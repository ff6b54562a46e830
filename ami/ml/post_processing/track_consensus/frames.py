"""The individuals of a batch with the classifications of all their frames, in one query."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet

from ami.main.models import Detection
from ami.ml.models import Algorithm
from ami.ml.post_processing.boxes import sized
from ami.ml.post_processing.deriving import CategoryMaps
from ami.ml.post_processing.track_consensus.fusing import Box, weigh

# All frames of the individuals, also those outside the scope.
FRAMES = """
SELECT id, source_image_id, occurrence_id, bbox FROM main_detection
WHERE occurrence_id IN (SELECT occurrence_id FROM ({scope}) scope)
"""
# Superseded classifications are read as well, because a former consensus was made of them. Flags
# such as "Not identifiable" say nothing about the name. With OFFSET 0, the vectors themselves are
# neither joined nor sorted.
READ = """
SELECT c.id, f.occurrence_id, f.id, c.taxon_id, c.score, c.category_map_id, c.algorithm_id,
       c.vectors, c.terminal, c.metadata, CASE WHEN f.fault IS NULL THEN f.bbox END, f.area
FROM sized f
CROSS JOIN LATERAL (
    SELECT id, taxon_id, score, category_map_id, algorithm_id, terminal,
           CASE WHEN scores IS NOT NULL THEN 'scores' WHEN logits IS NOT NULL THEN 'logits'
                ELSE '' END AS vectors,
           CASE WHEN algorithm_id = %s THEN metadata END AS metadata
    FROM main_classification WHERE detection_id = f.id OFFSET 0
) c
WHERE (c.taxon_id = ANY(%s)) IS NOT TRUE
ORDER BY f.occurrence_id, f.timestamp, f.id, c.id
"""


class Row(NamedTuple):
    """A classification of a frame. `metadata` is JSON if it is a consensus, else None.

    `vectors` names the column with its distribution, "" if it has none. `area` is the share of the
    frame that the box covers; it and `box` are None if the box or the size of the frame is unfit.
    """

    pk: int
    occurrence_id: int
    detection_id: int
    taxon_id: int | None
    score: float | None
    category_map_id: int | None
    vectors: str
    terminal: bool
    metadata: str | None
    box: Box | None
    area: float | None

    @property
    def speaks(self) -> bool:
        """Whether it says something about the name."""
        return bool(self.vectors) or (self.taxon_id is not None and self.score is not None)

    @property
    def told(self) -> dict[str, Any]:
        """The metadata of a consensus."""
        found = json.loads(self.metadata or "{}")
        return found if isinstance(found, dict) else {}


class Individual(NamedTuple):
    """An occurrence with the classifications of its frames, in the order of time.

    `sources` are those to fuse, with their `weights`; several of one frame share its weight.
    `current` are the ids of those that a consensus supersedes. `former` is the present consensus.
    """

    pk: int
    sources: list[Row]
    weights: list[float]
    current: list[int]
    former: Row | None

    @property
    def frames(self) -> int:
        return len({row.detection_id for row in self.sources})

    @property
    def kinds(self) -> set[int | None]:
        """The category maps of its distributions; None stands for sources without one."""
        return {row.category_map_id if row.vectors else None for row in self.sources}


def read_individuals(
    detections: QuerySet[Detection],
    *,
    author: Algorithm,
    maps: CategoryMaps,
    flags: Collection[int],
) -> list[Individual]:
    """The occurrences of these detections that have classifications to fuse, by id.

    `author` is the algorithm that writes consensuses. `flags` are the ids of the taxa that name
    nothing, such as "Not identifiable".
    """
    scope, params = detections.order_by().values("occurrence_id").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sized(FRAMES.format(scope=scope)) + READ, [*params, author.pk, list(flags)])
        rows = [
            Row(pk, home, detection, taxon, score, maps.number(own, by), *others)
            for pk, home, detection, taxon, score, own, by, *others in cursor.fetchall()
        ]
    grouped = groupby(rows, key=attrgetter("occurrence_id"))
    found = [_individual(pk, list(own)) for pk, own in grouped]
    return [one for one in found if one.sources]


def _individual(pk: int, rows: Sequence[Row]) -> Individual:
    """A former consensus gives way to its sources, except on frames that were classified anew."""
    results = [row for row in rows if row.terminal and row.metadata is not None]
    current = [row for row in rows if row.terminal and row.metadata is None and row.speaks]
    sources = current
    if results:
        listed = {number for row in results for number in _listed(row)}
        anew = {row.detection_id for row in current}
        standing = {row.pk for row in current}
        standing |= {row.pk for row in rows if row.pk in listed and row.detection_id not in anew}
        sources = [row for row in rows if row.pk in standing and row.metadata is None]
        sources = [row for row in sources if row.speaks]
    return Individual(
        pk=pk,
        sources=sources,
        weights=_weights(sources),
        current=[row.pk for row in (*current, *results)],
        former=results[-1] if results else None,
    )


def _listed(result: Row) -> list[int]:
    listed = result.told.get("sources")
    return [pk for pk in listed if isinstance(pk, int)] if isinstance(listed, list) else []


def _weights(sources: Sequence[Row]) -> list[float]:
    frames = {row.detection_id: row for row in sources}  # in the order of time
    weights = weigh([row.box for row in frames.values()], [row.area for row in frames.values()])
    if len(frames) == len(sources):
        return weights
    weight_of = dict(zip(frames, weights, strict=True))
    shared = Counter(row.detection_id for row in sources)
    return [weight_of[row.detection_id] / shared[row.detection_id] for row in sources]

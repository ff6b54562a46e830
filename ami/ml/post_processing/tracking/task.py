"""Tracking: join the detections of one individual on successive captures in one occurrence."""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import numpy as np
from pydantic import Field

from ami.base.ids import RowId
from ami.main.models import Event, Occurrence
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import EVENT, Batch
from ami.ml.post_processing.changes import NO_CHANGE, Change
from ami.ml.post_processing.measures import Measure, Threshold
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import ScopedConfig
from ami.ml.post_processing.tracking.links import (
    Limits,
    Link,
    Sightings,
    link_detections,
    link_within_each,
    nearest,
)
from ami.ml.post_processing.tracking.rows import (
    delete_emptied,
    hold,
    move,
    read_directions,
    read_rows,
    to_sightings,
    unlink_others,
)
from ami.ml.post_processing.tracking.tracks import Night, Row, Track, heirs, moves, nights_of

BY_VECTOR, BY_BOX = "With feature vectors", "By boxes alone"


class TrackingConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    event_id: RowId | None = None
    event_ids: list[RowId] | None = Field(None, min_items=1)
    cost_threshold: float = Field(
        0.2,
        gt=0,
        le=5,
        title="Cost threshold",
        description="The highest cost of a link if both detections have a feature vector.",
    )
    geometry_cost_threshold: float = Field(
        0.8,
        gt=0,
        le=3,
        title="Geometry cost threshold",
        description="The highest cost of a link by boxes alone, if a feature vector is missing.",
    )
    max_gap_captures: int = Field(
        1,
        ge=1,
        le=1000,
        title="Captures to the next detection",
        description="1 links only successive captures; 2 also bridges one capture in between.",
    )
    max_gap_seconds: float | None = Field(
        None,
        gt=0,
        le=86_400,
        title="Seconds to the next detection",
        description="The longest time that a link may bridge, in seconds. Empty: no limit.",
    )


@register
class TrackingTask(BasePostProcessingTask):
    key = "tracking"
    name = "Tracking"
    description = "Joins the detections of one individual on successive captures of a night."
    docs = "reference/methods/tracking.html"
    config_schema = TrackingConfig
    measure = Measure(
        label="Cost of the link to the capture before",
        when="<=",
        effect="linked",
        thresholds=lambda config: {
            BY_VECTOR: Threshold(config.cost_threshold, "cost_threshold"),
            BY_BOX: Threshold(config.geometry_cost_threshold, "geometry_cost_threshold"),
        },
    )
    unit = EVENT
    batch_size = 5_000
    counters = (
        "detections_checked",
        "detections_skipped",
        "detections_locked",
        "links_found",
        "links_changed",
        "occurrences_merged",
        "occurrences_created",
        "occurrences_updated",
    )

    config: TrackingConfig

    def process(self, batch: Batch) -> None:
        hold(batch)
        rows = read_rows(batch)
        self._count(rows)
        directions = read_directions([row.id for row in rows if row.takes_part])
        tracks: list[Track] = []
        for night in nights_of(rows):
            sightings = to_sightings(night.rows, directions)
            links = link_detections(sightings, _limits(self.config))
            self._measure(night.rows, sightings, links)
            self.count(links_found=len(links))
            tracks += night.tracks(links)
        self._create_occurrences(tracks)
        self._write(tracks)

    def compare(self, batch: Batch, configs: Sequence[Any]) -> Iterator[Change]:
        """As if nobody had identified an occurrence, because a run neither joins nor splits those
        that people have identified."""
        rows = [row._replace(locked=False) for row in read_rows(batch)]
        directions = read_directions([row.id for row in rows if row.takes_part])
        nights, each = nights_of(rows), [_limits(config) for config in configs]
        links = [link_within_each(to_sightings(one.rows, directions), each) for one in nights]
        for number in range(len(configs)):
            own = [found[number] for found in links]
            tracks = map(Night.tracks, nights, own)
            moved, homes = np.array(moves(chain.from_iterable(tracks)), np.int64).reshape(-1, 2).T
            yield NO_CHANGE._replace(moved=moved, homes=homes)

    def _measure(self, rows: list[Row], sightings: Sightings, links: list[Link]) -> None:
        if self.gauge is None:
            return
        pairs = nearest(sightings, links, _limits(self.config))
        for series, chosen in ((BY_VECTOR, pairs.by_vector), (BY_BOX, ~pairs.by_vector)):
            self.measured(
                [rows[row].id for row in pairs.latter[chosen]],
                pairs.costs[chosen],
                series=series,
                others=[rows[row].id for row in pairs.former[chosen]],
            )

    def _count(self, rows: list[Row]) -> None:
        self.count(detections_checked=len(rows), detections_locked=sum(row.locked for row in rows))
        faulty = sorted((row.fault, row.id) for row in rows if row.fault and not row.locked)
        self.count(detections_skipped=len(faulty))
        for reason, group in groupby(faulty, key=itemgetter(0)):
            ids = [pk for _, pk in group]
            self.skip(reason, rows=len(ids), ids=ids)

    def _create_occurrences(self, tracks: list[Track]) -> None:
        lacking = [track for track in tracks if track.lacks_occurrence]
        events = Event.objects.in_bulk({track.rows[0].event_id for track in lacking})
        created = Occurrence.objects.bulk_create(
            Occurrence(
                event=(event := events[track.rows[0].event_id]),
                deployment_id=event.deployment_id,
                project_id=event.project_id,
            )
            for track in lacking
        )
        for track, occurrence in zip(lacking, created, strict=True):
            track.keeper = occurrence.pk
        self.count(occurrences_created=len(created))

    def _write(self, tracks: list[Track]) -> None:
        placements = [pair for track in tracks for pair in track.placements()]
        unlink_others([row.id for row, _ in placements])
        changes = [(row, wanted) for row, wanted in placements if not wanted.holds(row)]
        if not changes:
            return
        move([wanted for _, wanted in changes])
        self.count(
            links_changed=sum(row.next_id != wanted.next_id for row, wanted in changes),
            occurrences_merged=delete_emptied(heirs(changes)),
        )
        homes = {
            home for row, wanted in changes for home in (row.occurrence_id, wanted.occurrence_id)
        }
        self.update_determinations(home for home in homes if home is not None)


def _limits(config: TrackingConfig) -> Limits:
    return Limits(
        cost=config.cost_threshold,
        geometry_cost=config.geometry_cost_threshold,
        gap_captures=config.max_gap_captures,
        gap_seconds=config.max_gap_seconds,
    )

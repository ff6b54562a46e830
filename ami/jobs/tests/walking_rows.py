"""The rows of a walk: a random night, and which of its rows belong together."""

from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.jobs.models import JobChange
from ami.main.counts import update_capture_counts, update_deployment_counts, update_event_counts
from ami.main.determinations import update_determinations
from ami.main.models import Classification, Detection, Event, Occurrence, SourceImage
from ami.ml.post_processing.tests.vectors import make_classifier, make_list, make_ranks
from ami.testing.records import rows

SPOTS = ([100, 100, 200, 200], [600, 600, 700, 700], [800, 100, 805, 105])
SCORES = ([0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.0, 0.1, 0.9], [0.5, 0.5, 0.0])
LOGITS = [3.0, 1.0, 0.0]
Node = tuple[str, int]  # "detection" or "occurrence", and its id
OWNERS: dict[str, Callable[[Any], Node]] = {
    "Classification": lambda row: ("detection", row["detection_id"]),
    "Detection": lambda row: ("detection", row["id"]),
    "Identification": lambda row: ("occurrence", row["occurrence_id"]),
    "Occurrence": lambda row: ("occurrence", row["id"]),
}


class Night:
    """One night: for each capture, its detections as (spot, shift, vectors, home).

    `planted` lists the positions of occurrences that begin with a wrong determination.
    """

    def __init__(self, sightings: list[Any], planted: set[int]) -> None:
        self._make_rows(sightings)
        self._plant(planted)

    def _make_rows(self, night: list[Any]) -> None:
        _, _, *self.species = make_ranks("F", "G", "a", "b", "c")
        self.classifier = make_classifier("a", "b", "c")
        self.deployment = make_deployment()
        self.event = Event.objects.create(
            deployment=self.deployment, project=self.deployment.project, group_by="2022-06-20"
        )
        self.taxa_list = make_list(self.species[0], self.species[2])
        self.person = make_user()
        captures = []
        for minute, sightings in enumerate(night):
            captures.append(
                make_capture(
                    deployment=self.deployment,
                    event=self.event,
                    timestamp=NIGHT + timedelta(minutes=minute),
                )
            )
            for spot, by, named, home in sightings:
                self.make_detection(captures[-1], spot, by, named, home)
        self.scope = make_capture_set(captures)
        update_determinations(Occurrence.objects.values_list("pk", flat=True))
        self.count_anew()

    def make_detection(
        self, capture: SourceImage, spot: int, by: int, named: list[int], home: str
    ) -> Detection:
        occurrence = Occurrence.objects.order_by("pk").last() if home == "shared" else None
        if occurrence is None and home != "none":
            occurrence = make_occurrence(deployment=self.deployment, event=capture.event)
        box = [corner + by for corner in SPOTS[spot]]
        detection = make_detection(source_image=capture, occurrence=occurrence, bbox=box)
        for place, vector in enumerate(named):
            self.classify(detection, vector, terminal=place == len(named) - 1)
        return detection

    def classify(self, detection: Detection, vector: int, *, terminal: bool) -> Classification:
        scores = SCORES[vector] if vector < len(SCORES) else None
        best = max(range(3), key=lambda place: (scores or LOGITS)[place])
        return make_classification(
            detection=detection,
            algorithm=self.classifier,
            taxon=self.species[best],
            score=scores[best] if scores else 0.6,
            scores=scores,
            logits=LOGITS,
            terminal=terminal,
            category_map=self.classifier.category_map,
        )

    def _plant(self, places: set[int]) -> None:
        planted = list(Occurrence.objects.order_by("pk").values_list("pk", flat=True))
        wrong = make_taxon(name="planted")
        ids = [pk for place, pk in enumerate(planted) if place in places]
        Occurrence.objects.filter(pk__in=ids).update(determination=wrong, determination_score=0.125)

    def count_anew(self) -> None:
        update_capture_counts(SourceImage.objects.values_list("pk", flat=True))
        update_event_counts([self.event.pk])
        update_deployment_counts([self.deployment.pk])


def apart_from(
    nodes: Collection[Node], tables: dict[str, list[Any]], start: dict[str, list[Any]]
) -> dict[str, list[Any]]:
    """The rows that were never connected to these detections and occurrences."""
    stands_for = _groups(start)
    spoilt = {stands_for(node) for node in nodes}
    return {
        name: [row for row in table if stands_for(OWNERS[name](row)) not in spoilt]
        for name, table in tables.items()
    }


def _groups(start: dict[str, list[Any]]) -> Callable[[Node], Node]:
    """Groups of detections and occurrences that have ever been together."""
    parent: dict[Node, Node] = {}

    def find(node: Node) -> Node:
        while (up := parent.get(node, node)) != node:
            node = up
        return node

    for pair in [*_together(start), *_together(rows()), *_journaled()]:
        first, second = map(find, pair)
        parent[first] = second
    return find


def _together(tables: dict[str, list[Any]]) -> Iterator[tuple[Node, Node]]:
    for row in tables["Detection"]:
        if row["occurrence_id"]:
            yield ("detection", row["id"]), ("occurrence", row["occurrence_id"])
        if row["next_detection_id"]:
            yield ("detection", row["id"]), ("detection", row["next_detection_id"])


def _journaled() -> Iterator[tuple[Node, Node]]:
    """The groups that runs have joined and separated."""
    for change in JobChange.objects.filter(model__in=["main.detection", "main.identification"]):
        sides = [side for side in (change.before, change.after) if side]
        homes = [side["occurrence_id"] for side in sides if side.get("occurrence_id")]
        links = [side["next_detection_id"] for side in sides if side.get("next_detection_id")]
        nodes = [("occurrence", pk) for pk in homes] + [("detection", pk) for pk in links]
        if change.model == "main.detection":
            nodes.append(("detection", change.object_id))
        yield from pairwise(nodes)

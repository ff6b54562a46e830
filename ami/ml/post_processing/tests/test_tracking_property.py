"""Invariants of tracking: locks, identifications, and one occurrence per track."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import NIGHT, make_taxon, make_user
from ami.base.tests.snapshots import snapshot
from ami.main.determinations import update_determinations
from ami.main.models import (
    Classification,
    Detection,
    Event,
    Identification,
    Occurrence,
    SourceImage,
)
from ami.ml.post_processing.tests.nights import A, B, C, make_night, moved, track

OCCURRENCES = 6


class Seen(NamedTuple):
    """A detection: its box, its shift, its occurrence, and whether the box is missing."""

    box: int
    by: int
    home: int | None
    broken: bool


class State(NamedTuple):
    """The occurrence of a detection, and its next detection."""

    capture: int
    home: int | None
    following: int | None


sightings = st.builds(
    Seen,
    st.integers(0, 2),
    st.sampled_from([0, 10, 40]),
    st.sampled_from([None, *range(OCCURRENCES)]),
    st.sampled_from([False, False, False, True]),
)
nights = st.lists(st.lists(sightings, max_size=3), min_size=2, max_size=4)
# What a person said of each occurrence: nothing, something withdrawn, or something that holds.
words = st.lists(st.sampled_from([None, True, False]), min_size=OCCURRENCES, max_size=OCCURRENCES)


def write(night: Sequence[Sequence[Seen]], said: Sequence[bool | None]) -> Event:
    event = make_night(*([] for _ in night))
    captures = SourceImage.objects.filter(event=event).order_by("timestamp")
    place = {"event": event, "deployment": event.deployment, "project": event.project}
    homes = Occurrence.objects.bulk_create(Occurrence(**place) for _ in range(OCCURRENCES))
    taxa, user = [make_taxon(), make_taxon()], make_user()
    rows = Detection.objects.bulk_create(
        Detection(
            source_image=capture,
            occurrence=None if one.home is None else homes[one.home],
            bbox=None if one.broken else moved((A, B, C)[one.box], one.by),
            timestamp=NIGHT,
        )
        for capture, seen in zip(captures, night, strict=True)
        for one in seen
    )
    Classification.objects.bulk_create(
        Classification(detection=row, taxon=taxa[number % 2], score=number / 20)
        for number, row in enumerate(rows)
    )
    Identification.objects.bulk_create(
        Identification(occurrence=home, user=user, taxon=taxa[0], withdrawn=withdrawn)
        for home, withdrawn in zip(homes, said, strict=True)
        if withdrawn is not None
    )
    Occurrence.objects.filter(detections=None, identifications=None).delete()
    update_determinations(Occurrence.objects.values_list("pk", flat=True))
    return event


def states() -> dict[int, State]:
    columns = ("pk", "source_image", "occurrence", "next_detection")
    rows = Detection.objects.order_by("source_image__timestamp", "pk").values_list(*columns)
    return {pk: State(*state) for pk, *state in rows}


def chains(found: dict[int, State], free: Sequence[int]) -> list[list[int]]:
    """The tracks that the links form from the detections that take part."""
    led_to = {found[pk].following for pk in free}
    made = []
    for first in (pk for pk in free if pk not in led_to):
        made.append([first])
        while (following := found[made[-1][-1]].following) is not None:
            made[-1].append(following)
    return made


def check_keepers(
    tracks: list[list[int]], before: dict[int, State], after: dict[int, State], barred: set[Any]
) -> None:
    """Each track has one occurrence, the earliest possible one, with one box per capture."""
    homes = [{after[pk].home for pk in one} for one in tracks]
    assert all(len(home) == 1 for home in homes)
    kept = [home.pop() for home in homes]
    assert len({home for home in kept if home}) == sum(home is not None for home in kept)
    for one, keeper in zip(tracks, kept, strict=True):
        captures = {after[pk].capture for pk in one}
        assert len(captures) == len(one)
        assert not barred & {(keeper, capture) for capture in captures}
        former = [before[pk].home for pk in one if before[pk].home is not None]
        others = {before[pk].home for pk in before if pk not in one}
        if former and former[0] not in others:  # nobody else has a claim to it
            assert keeper == former[0]
        assert (keeper is None) == (len(one) == 1 and not former)


@pytest.mark.django_db
@settings(
    max_examples=120,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(nights, words, st.booleans(), st.integers(1, 2))
def test_whatever_the_night(
    night: list[list[Seen]], said: list[bool | None], tracked_before: bool, gap: int
) -> None:
    with transaction.atomic():
        event = write(night, said)
        if tracked_before:
            track(event, geometry_cost_threshold=3, max_gap_captures=3)
        held = Occurrence.objects.filter(identifications__withdrawn=False)
        locked = set(held.values_list("pk", flat=True))
        words_before = list(Identification.objects.order_by("pk").values("pk", "withdrawn"))
        before = states()
        broken = set(Detection.objects.filter(bbox=None).values_list("pk", flat=True))
        free = [pk for pk in before if pk not in broken and before[pk].home not in locked]

        task = track(event, max_gap_captures=gap)

        after = states()
        apart = [pk for pk in before if pk not in free]
        assert {pk: after[pk].home for pk in apart} == {pk: before[pk].home for pk in apart}
        barred = {(after[pk].home, after[pk].capture) for pk in apart if after[pk].home}
        check_keepers(chains(after, free), before, after, barred)
        assert sum(after[pk].following is not None for pk in free) == task.counts["links_found"]
        assert list(Identification.objects.order_by("pk").values("pk", "withdrawn")) == words_before
        gone = {before[pk].home for pk in before} - {after[pk].home for pk in after}
        assert not Occurrence.objects.filter(pk__in=gone - {None}).exists()
        assert update_determinations(Occurrence.objects.values_list("pk", flat=True)) == []
        tables = snapshot(Detection, Occurrence, Identification)
        track(event, max_gap_captures=gap)
        assert snapshot(Detection, Occurrence, Identification) == tables
        transaction.set_rollback(True)

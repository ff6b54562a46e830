"""The choice of the occurrence of a track, without a database."""

from typing import Any

import pytest

from ami.ml.post_processing.tracking.links import Link
from ami.ml.post_processing.tracking.tracks import (
    Placement,
    Row,
    Track,
    choose_keepers,
    follow,
    heirs,
)


def row(pk: int, occurrence_id: int | None, *, place: int, **fields: Any) -> Row:
    """A detection on the capture with the number `place`."""
    values: dict[str, Any] = {
        **dict.fromkeys(Row._fields),
        "id": pk,
        "event_id": 1,
        "capture_id": place,
        "occurrence_id": occurrence_id,
        "place": place,
        "time": place * 60.0,
        **fields,
    }
    return Row(**values)


def keepers(*tracks: list[Row], apart: tuple[Row, ...] = ()) -> list[int | None]:
    found = [Track(rows) for rows in tracks]
    choose_keepers(found, apart=apart)
    return [track.keeper for track in found]


def test_links_make_tracks() -> None:
    rows = [row(pk, None, place=place) for pk, place in ((5, 0), (6, 0), (7, 1), (8, 2))]
    tracks = follow(rows, [Link(0, 2, 0.1), Link(2, 3, 0.2)])
    assert [[one.id for one in track.rows] for track in tracks] == [[5, 7, 8], [6]]
    assert [track.costs for track in tracks] == [[0.1, 0.2], []]


def test_occurrence_goes_to_the_track_that_shows_it_first() -> None:
    first = [row(1, None, place=0), row(4, 9, place=3)]
    second = [row(2, 9, place=1), row(3, 8, place=2)]
    assert keepers(first, second) == [None, 9]


def test_track_whose_first_occurrence_is_taken_keeps_its_next() -> None:
    assert keepers([row(1, 9, place=0)], [row(2, 9, place=1), row(3, 8, place=2)]) == [9, 8]


def test_occurrence_of_another_event_is_no_keeper() -> None:
    assert keepers([row(1, 9, place=0, strayed=True), row(2, 8, place=1)]) == [8]
    assert keepers([row(1, 9, place=0, strayed=True)]) == [None]


def test_occurrence_that_stays_on_the_capture_is_no_keeper() -> None:
    track = [row(1, 9, place=0), row(2, 8, place=1)]
    assert keepers(track, apart=(row(3, 9, place=1),)) == [8]
    assert keepers(track, apart=(row(3, 9, place=5),)) == [9]


def test_heir_is_where_the_earliest_detection_goes() -> None:
    changes = [
        (row(1, 9, place=4), Placement(1, 5, None, None)),
        (row(2, 9, place=2), Placement(2, 6, None, None)),
        (row(3, 7, place=1), Placement(3, 7, 2, 0.1)),
    ]
    assert heirs(changes) == {9: 6}


@pytest.mark.parametrize(
    ("cost", "holds"), [(0.1, True), (0.1 + 1e-9, True), (0.1 + 1e-7, False), (None, False)]
)
def test_last_bits_of_a_cost_are_no_change(cost: float | None, holds: bool) -> None:
    former = row(1, 9, place=0, next_id=2, link_cost=0.1)
    assert Placement(1, 9, 2, cost).holds(former) is holds

"""Linking without a database, compared with the reference, and its edge cases."""

from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami.ml.post_processing.tests import linking_reference as plain
from ami.ml.post_processing.tests.linking_reference import Box, best_total, reachable, share
from ami.ml.post_processing.tracking.links import (
    Limits,
    Link,
    Sightings,
    assign,
    direction_of,
    link_detections,
    link_within_each,
)

GEOMETRY = Limits(cost=0.2, geometry_cost=0.8)
FRAMES = ((100, 100), (300, 400))
TOLERANCE = 1e-6


def sightings_of(boxes: Sequence[Box]) -> Sightings:
    directions = [direction_of(np.array(box.vector, dtype=float)) for box in boxes]
    lengths = [0 if direction is None else len(direction) for direction in directions]
    filled = np.zeros((len(boxes), max(lengths, default=0)))
    for row, direction in zip(filled, directions, strict=True):
        if direction is not None:
            row[: len(direction)] = direction
    return Sightings(
        boxes=np.array([box.corners for box in boxes], dtype=float),
        frames=np.array([box.frame for box in boxes], dtype=float),
        places=np.array([box.place for box in boxes], dtype=np.intp),
        times=np.array([box.time for box in boxes], dtype=float),
        directions=filled,
        lengths=np.array(lengths, dtype=np.intp),
    )


def link(*boxes: Box, limits: Limits = GEOMETRY) -> list[Link]:
    return link_detections(sightings_of(boxes), limits)


def check_optimal(boxes: Sequence[Box], links: Sequence[Link], limits: plain.Limits) -> None:
    """Follow the captures; if two assignments are equally good, use the one in `links`."""
    former_of = {link.latter: link for link in links}
    ends: list[int] = []
    for _, group in groupby(range(len(boxes)), key=lambda number: boxes[number].place):
        numbers = list(group)
        taken = [former_of[number] for number in numbers if number in former_of]
        assert {one.former for one in taken} <= set(ends)
        best = best_total([boxes[n] for n in ends], [boxes[n] for n in numbers], limits)
        found = sum(share(boxes[one.former], boxes[one.latter], limits)[0] - 1 for one in taken)
        assert found == pytest.approx(best, abs=TOLERANCE)
        ends = [end for end in ends if end not in {one.former for one in taken}] + numbers


corner = st.integers(0, 6).map(lambda n: n * 10.0)
side = st.integers(0, 3).map(lambda n: n * 10.0)
corners = st.tuples(corner, corner, side, side).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
number = st.integers(-2, 2).map(float)
vectors = st.one_of(
    st.just(()), st.just((0.0, 0.0)), st.tuples(number, number), st.tuples(number, number, number)
)
captures = st.lists(st.lists(st.tuples(corners, vectors), max_size=4), max_size=5)
limits = st.builds(
    plain.Limits,
    cost=st.sampled_from([0.2, 1.0, 2.5]),
    geometry_cost=st.sampled_from([0.3, 0.8, 1.0, 2.0]),
    gap_captures=st.integers(1, 3),
    gap_seconds=st.sampled_from([None, 60.0, 120.0]),
)


Night: TypeAlias = list[list[tuple[tuple[float, float, float, float], tuple[float, ...]]]]


def boxes_of(night: Night) -> list[Box]:
    return [
        Box(place, place * 60, corners, vector, frame=FRAMES[place % 2])
        for place, capture in enumerate(night)
        for corners, vector in capture
    ]


@settings(max_examples=300, derandomize=True)
@given(night=captures, limits=limits)
def test_links_are_one_to_one_within_limits_and_optimal(night: Night, limits: plain.Limits) -> None:
    boxes = boxes_of(night)
    links = link(*boxes, limits=Limits(*limits))
    assert len({one.former for one in links}) == len({one.latter for one in links}) == len(links)
    for one in links:
        former, latter = boxes[one.former], boxes[one.latter]
        part, cost = share(former, latter, limits)
        assert one.cost == pytest.approx(cost, abs=TOLERANCE)
        assert part <= 1 + TOLERANCE
        assert reachable(former, latter, limits)
    check_optimal(boxes, links, limits)
    assert links == link(*boxes, limits=Limits(*limits))


@settings(max_examples=300, derandomize=True)
@given(night=captures, several=st.lists(limits, min_size=2, max_size=4))
def test_several_limits_give_the_links_within_each(
    night: Night, several: list[plain.Limits]
) -> None:
    boxes, each = boxes_of(night), [Limits(*one) for one in several]
    found = link_within_each(sightings_of(boxes), each)
    assert found == [link(*boxes, limits=one) for one in each]


def test_nothing_makes_no_links() -> None:
    assert link() == []


def test_identical_boxes_are_linked_at_no_cost() -> None:
    here = (10, 10, 20, 20)
    links = link(*(Box(place, 0, here) for place in (0, 0, 1, 1)))
    assert {(one.former, one.latter, one.cost) for one in links} in (
        {(0, 2, 0.0), (1, 3, 0.0)},
        {(0, 3, 0.0), (1, 2, 0.0)},
    )


def test_cost_at_the_threshold_is_a_link() -> None:
    whole, half = Box(0, 0, (0, 0, 100, 100)), Box(1, 0, (0, 25, 100, 75))
    assert link(whole, half, limits=Limits(1, 1.0)) == [Link(0, 1, 1.0)]
    assert link(whole, half, limits=Limits(1, 0.999_999_99)) == []


def test_last_bits_of_a_sum_decide_nothing() -> None:
    """0.3 + 0.3 must count as 0.6, although 1 - 0.7 is slightly above 0.3 in floating point."""
    whole, most = Box(0, 0, (0, 0, 100, 100)), Box(1, 0, (0, 15, 100, 85))
    assert (1 - 0.7) + (1 - 0.7) > 0.6
    assert link(whole, most, limits=Limits(1, 0.6)) == [Link(0, 1, 0.6)]


def test_two_dear_links_do_not_push_out_a_free_one() -> None:
    rows, columns = assign(np.array([[0.0, 0.9], [0.9, 2.0]]))
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_two_links_win_over_a_cheaper_one() -> None:
    rows, columns = assign(np.array([[0.1, 0.2], [0.2, 2.0]]))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


def test_nearer_end_is_not_pushed_out_by_an_older_one() -> None:
    boxes = [Box(0, 0, (0, 0, 10, 10)), Box(1, 60, (1, 0, 11, 10)), Box(2, 120, (1, 0, 11, 10))]
    links = link(*boxes, limits=Limits(0.2, 0.8, gap_captures=2))
    assert [(one.former, one.latter) for one in links] == [(0, 1), (1, 2)]


@pytest.mark.parametrize("corner", [1e300, 1e-300, 1.7e308])
def test_numbers_out_of_range_make_no_link_and_no_error(corner: float) -> None:
    boxes = [Box(place, 0, (-corner, -corner, corner, corner)) for place in (0, 1)]
    assert all(np.isfinite(one.cost) for one in link(*boxes))


@pytest.mark.parametrize(
    "vector", [[], [0.0, -0.0], [1.0, np.nan], [np.inf, 1.0], [-np.inf, np.inf]]
)
def test_vector_without_a_direction(vector: list[float]) -> None:
    assert direction_of(np.array(vector)) is None


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1.0, 1e308])
def test_direction_does_not_depend_on_length(scale: float) -> None:
    direction = direction_of(np.array([scale, scale]))
    assert direction == pytest.approx([0.5**0.5, 0.5**0.5])

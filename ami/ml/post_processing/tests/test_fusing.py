"""The rules by which the frames of an individual are fused, without a database."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami.ml.post_processing.deriving import softmax
from ami.ml.post_processing.track_consensus.fusing import (
    Floats,
    Fusion,
    Rule,
    at_temperature,
    fuse,
    overlap,
    weigh,
)

# Example S14: the majority of these frames says class 1.
FRAMES = [[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.3, 0.65, 0.05]]
RULES: tuple[Rule, ...] = ("mean", "log_mean", "best")
BOX = (100.0, 100.0, 200.0, 200.0)
FAR = (500.0, 100.0, 600.0, 200.0)


def shifted(by: float) -> tuple[float, float, float, float]:
    return (BOX[0] + by, BOX[1], BOX[2] + by, BOX[3])


@pytest.mark.parametrize(
    ("rule", "winner", "score"), [("best", 0, 0.9), ("mean", 0, 0.5333), ("log_mean", 0, 0.5841)]
)
def test_rules_differ_from_the_majority(rule: Rule, winner: int, score: float) -> None:
    assert np.bincount(np.argmax(FRAMES, axis=1)).argmax() == 1
    fused = fuse(FRAMES, rule=rule)
    assert fused.argmax() == winner
    assert fused[winner] == pytest.approx(score, abs=5e-5)


def test_weights_count() -> None:
    assert fuse(FRAMES, rule="mean", weights=[1, 4, 1]).argmax() == 1
    twice = fuse([FRAMES[0], FRAMES[1], FRAMES[1]], rule="log_mean")
    assert fuse(FRAMES[:2], rule="log_mean", weights=[1, 2]) == pytest.approx(twice)


def test_log_mean_keeps_the_mass_and_the_classes_that_are_zero() -> None:
    fused = fuse([[0.4, 0.1, 0.0], [0.2, 0.3, 0.0]], rule="log_mean")
    assert fused.sum() == pytest.approx(0.5)
    assert fused[2] == 0
    # Frames that share no class are not a division by zero.
    assert fuse([[1.0, 0.0], [0.0, 1.0]], rule="log_mean") == pytest.approx([0.5, 0.5])
    assert fuse([[0.0, 0.0]], rule="log_mean") == pytest.approx([0, 0])


def test_first_of_equally_sure_frames_is_the_best() -> None:
    assert fuse([[0.2, 0.7], [0.7, 0.2]], rule="best").tolist() == [0.2, 0.7]


@settings(max_examples=60, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.floats(0.01, 1), st.lists(st.floats(0, 1), min_size=3, max_size=3)
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 12),
    st.sampled_from(RULES),
)
def test_rows_may_be_added_in_any_portions(
    rows: list[tuple[int, float, list[float]]], size: int, rule: Rule
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    fusion = Fusion(4, 3, rule)
    for start in range(0, len(rows), size):
        places, weights, shares = zip(*rows[start : start + size], strict=True)
        fusion.add(np.array(places), np.array(weights), np.array(shares))
    found = fusion.result()
    for place in range(4):
        own = [row for row in rows if row[0] == place]
        expected: Floats = np.zeros(3)
        if own:
            _, weights, shares = zip(*own, strict=True)
            expected = fuse(shares, rule=rule, weights=weights)
        assert found[place] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_that_of_the_logits(temperature: float) -> None:
    logits = np.array([[3.0, 1.0, -2.0], [0.0, 0.5, 300.0]])
    expected = softmax(logits / temperature)
    assert at_temperature(softmax(logits), temperature) == pytest.approx(expected, rel=1e-9)
    masked = np.array([[0.3, 0.1, 0.0]])
    scaled = at_temperature(masked, temperature)
    assert scaled.sum() == pytest.approx(0.4)
    assert scaled[0, 2] == 0
    assert at_temperature(np.zeros((1, 2)), temperature).tolist() == [[0, 0]]


def test_frames_without_movement_are_one_look() -> None:
    assert weigh([BOX] * 4 + [FAR], [0.01] * 5) == [0.25] * 4 + [1.0]
    # The box of the first frame counts: a slow drift is a movement in the end.
    assert weigh([BOX, shifted(4), shifted(8)], [0.01] * 3) == [0.5, 0.5, 1.0]
    # A place to which an individual returns is another look.
    assert weigh([BOX, FAR, BOX], [0.01] * 3) == [1.0, 1.0, 1.0]


def test_weight_grows_with_the_area() -> None:
    assert weigh([BOX, FAR], [0.01, 0.04]) == [0.25, 1.0]


def test_frame_without_a_box_weighs_as_much_as_the_others() -> None:
    assert weigh([BOX, None, FAR], [0.01, None, 0.03]) == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert weigh([None, None], [None, None]) == [1.0, 1.0]


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(BOX, BOX) == 1
    assert overlap(BOX, FAR) == 0
    assert overlap(BOX, shifted(50)) == pytest.approx(1 / 3)

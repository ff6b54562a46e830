"""The temperature of a model and its calibration error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ami.ml.post_processing.deriving import softmax
from ami.review.statistics import temperature as module
from ami.review.statistics.temperature import (
    NoTemperatureError,
    calibration_error,
    fit_temperature,
    reliability,
)
from ami.review.statistics.tests.properties import QUICK

LOGITS = np.array([[2, 1, 0], [0, 3, 1], [1, 0, 2], [4, 1, 1], [0, 1, 0], [1, 2, 0]], dtype=float)
CLASSES = [0, 1, 0, 0, 2, 1]


def sharpened(rows: int, columns: int, factor: float) -> tuple[Any, Any]:
    """Return logits of a calibrated model times `factor`, and classes drawn from the model."""
    generator = np.random.default_rng(5)
    logits = generator.normal(scale=2, size=(rows, columns))
    cumulated = softmax(logits).cumsum(axis=1)
    classes = (cumulated < generator.random((rows, 1)) * cumulated[:, -1:]).sum(axis=1)
    return logits * factor, classes


class TestFit:
    def test_known_example(self) -> None:
        found = fit_temperature(LOGITS, CLASSES)
        assert found.temperature == pytest.approx(0.893920565, abs=1e-8)
        assert found.loss == pytest.approx(0.670054034, abs=1e-9)
        assert found.loss_before == pytest.approx(0.673171931, abs=1e-9)
        assert found.n == 6

    def test_blocks_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = fit_temperature(LOGITS, CLASSES)
        monkeypatch.setattr(module, "BLOCK", 7)
        assert fit_temperature(LOGITS, CLASSES) == pytest.approx(whole)

    @pytest.mark.parametrize("factor", [0.1, 0.5, 1, 3, 20])
    def test_it_finds_by_how_much_a_model_was_sharpened(self, factor: float) -> None:
        logits, classes = sharpened(4_000, 6, factor)
        found = fit_temperature(logits, classes)
        assert found.temperature == pytest.approx(factor, rel=0.05)
        assert fit_temperature(logits / found.temperature, classes).temperature == pytest.approx(1)
        assert found.loss <= found.loss_before

    def test_it_reads_single_precision_and_leaves_it_as_it_is(self) -> None:
        logits, classes = sharpened(500, 20, 3)
        single = logits.astype(np.float32)
        single.flags.writeable = False
        found = fit_temperature(single, classes)
        assert found.temperature == pytest.approx(
            fit_temperature(logits, classes).temperature, rel=1e-4
        )

    @pytest.mark.parametrize("kind", [np.int64, np.float16, np.float32])
    def test_any_numbers_will_do(self, kind: Any) -> None:
        found = fit_temperature(LOGITS.astype(kind), CLASSES)
        assert found.temperature == pytest.approx(0.893920565, rel=1e-5)

    def test_large_logits_do_not_overflow(self) -> None:
        found = fit_temperature(LOGITS * 5_000 / 100 + 10_000, CLASSES)
        assert found.temperature == pytest.approx(0.893920565 * 50, rel=1e-6)

    def test_model_without_mistakes_has_no_temperature(self) -> None:
        with pytest.raises(NoTemperatureError, match="highest logit in nearly every row"):
            fit_temperature(LOGITS, LOGITS.argmax(axis=1))
        with pytest.raises(NoTemperatureError, match="highest logit in nearly every row"):
            fit_temperature(LOGITS * 20, LOGITS.argmax(axis=1))

    def test_model_that_is_always_wrong_has_no_temperature(self) -> None:
        with pytest.raises(NoTemperatureError, match="any higher temperature fits"):
            fit_temperature(LOGITS, LOGITS.argmin(axis=1))

    @pytest.mark.parametrize(
        ("logits", "classes", "message"),
        [
            (np.zeros((0, 3)), [], "one class per row"),
            (LOGITS, [0, 1], r"got the shapes \(6, 3\) and \(2,\)"),
            (LOGITS, [0, 1, 2, 3, 0, 0], "classes must be from 0 to 2, got 0 to 3"),
            (np.where(LOGITS > 3, np.inf, LOGITS), CLASSES, "logits must be finite"),
            (np.where(LOGITS > 3, np.nan, LOGITS), CLASSES, "logits must be finite"),
        ],
    )
    def test_impossible_rows_are_refused(self, logits: Any, classes: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            fit_temperature(logits, classes)


@QUICK
@given(arrays(float, (4, 5), elements=st.floats(-50, 50)), st.floats(0.05, 20))
def test_temperature_never_changes_the_winner(logits: Any, temperature: float) -> None:
    shares = softmax(logits / temperature)
    assert shares.sum(axis=1) == pytest.approx(1)
    winners = shares[np.arange(4), logits.argmax(axis=1)]
    assert (winners == shares.max(axis=1)).all()


class TestCalibrationError:
    def test_known_example(self) -> None:
        shares = softmax(LOGITS)
        right = shares.argmax(axis=1) == CLASSES
        assert calibration_error(shares.max(axis=1), right) == pytest.approx(0.137859381, abs=1e-9)

    def test_bins_include_their_upper_end(self) -> None:
        bars = reliability([0, 0.25, 0.5, 0.51, 1], [0, 1, 1, 0, 1], bins=4)
        assert [bar.n for bar in bars] == [2, 1, 1, 1]
        assert bars[0][2:] == (2, 0.125, 0.5)
        assert (bars[3].low, bars[3].high) == (0.75, 1)

    def test_bins_without_rows_have_no_height(self) -> None:
        assert reliability([1], [True], bins=2)[0] == (0, 0.5, 0, None, None)
        assert calibration_error([], []) is None

    @pytest.mark.parametrize(
        ("scores", "right", "message"),
        [([0.5], [1, 0], "got 1 and 2"), ([1.5], [1], "from 0 to 1"), ([np.nan], [1], "from 0")],
    )
    def test_impossible_scores_are_refused(self, scores: Any, right: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            reliability(scores, right)

    @QUICK
    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
    def test_it_is_a_distance_from_0_to_1(self, rows: list[tuple[float, bool]]) -> None:
        scores, right = zip(*rows, strict=True)
        bars = reliability(scores, right)
        assert sum(bar.n for bar in bars) == len(rows)
        for bar in bars:
            if bar.confidence is not None:
                assert bar.low - 1e-12 <= bar.confidence <= bar.high + 1e-12
        error = calibration_error(scores, right)
        assert error is not None
        assert 0 <= error <= 1

"""Rows to fit and rows to report."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami.review.statistics.halves import in_fitting_half
from ami.review.statistics.tests.properties import QUICK

ID = st.integers(0, 2**63 - 1)


def test_halves_never_change() -> None:
    found = in_fitting_half(range(1, 17)).astype(int)
    assert "".join(map(str, found)) == "0101110111000100"


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_halves_are_halves(seed: int, step: int) -> None:
    ids = np.arange(0, 100_000 * step, step)
    assert in_fitting_half(ids, seed).mean() == pytest.approx(0.5, abs=0.01)


def test_seeds_split_independently() -> None:
    ids = np.arange(100_000)
    same = in_fitting_half(ids, 1) == in_fitting_half(ids, 2)
    assert same.mean() == pytest.approx(0.5, abs=0.01)


@QUICK
@given(st.lists(ID, min_size=1), st.integers(0, 2**70))
def test_id_alone_decides(ids: list[int], seed: int) -> None:
    together = in_fitting_half(ids, seed)
    assert together.tolist() == [bool(in_fitting_half([pk], seed)[0]) for pk in ids]
    assert together[::-1].tolist() == in_fitting_half(ids[::-1], seed).tolist()

"""Rows for each method, for the tests that every method has to pass.

A module named by the method's key has `make_rows(nights)`: rows that the method works on, and some
with each of the faults that it skips, `nights` times over.
"""

from collections.abc import Callable
from importlib import import_module

from ami.testing import Rows
from ami.testing.methods import complete_rows


def rows_of(key: str, *, nights: int) -> Rows:
    """Make the rows of that method."""
    make_rows: Callable[[int], Rows] = import_module(f"{__name__}.{key}").make_rows
    return make_rows(nights)


def make_rows_for(key: str, *, nights: int = 3) -> Rows:
    """Make the rows of that method, and a capture set of every capture."""
    rows = rows_of(key, nights=nights)
    complete_rows()
    return rows

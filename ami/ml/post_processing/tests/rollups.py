"""Rank rollups for tests, and their results."""

from typing import Any

import pytest

from ami.main.models import Classification
from ami.ml.models import Algorithm
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.tests.vectors import make_classifier, make_ranks, run


def roll_up(**options: Any) -> dict[str, int]:
    return run(RankRollupTask, **options)


def result(source: Classification) -> Classification | None:
    return Classification.objects.filter(applied_to=source, terminal=True).first()


def name_of(source: Classification) -> str | None:
    """The result for `source`; None if it was left alone."""
    new = result(source)
    return str(new.taxon) if new else None


@pytest.fixture
def classifier() -> Algorithm:
    """A classifier of two families, each with one genus of two species."""
    make_ranks("F", "G", "a", "b")
    make_ranks("H", "I", "c", "d")
    return make_classifier("a", "b", "c", "d")

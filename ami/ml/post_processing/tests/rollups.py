"""Rank rollups for tests, and what becomes of a source."""

from typing import Any

from ami.main.models import Classification
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.tests.vectors import run


def roll_up(**options: Any) -> dict[str, int]:
    return run(RankRollupTask, **options)


def result(source: Classification) -> Classification | None:
    return Classification.objects.filter(applied_to=source, terminal=True).first()


def name_of(source: Classification) -> str | None:
    """What `source` was raised to; None where it was left alone."""
    new = result(source)
    return str(new.taxon) if new else None

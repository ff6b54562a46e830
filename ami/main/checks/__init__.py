"""Faults that rows can have: each is found by a `get_*` and repaired by a `reconcile_*`."""

from ami.main.checks.occurrences import (
    get_occurrences_missing_determination,
    reconcile_missing_determinations,
)
from ami.main.checks.schemas import IntegrityCheckResult

__all__ = [
    "IntegrityCheckResult",
    "get_occurrences_missing_determination",
    "reconcile_missing_determinations",
]

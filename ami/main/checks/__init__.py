"""Faults in rows, each with a `get_*` function that finds and a `reconcile_*` that repairs them."""

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

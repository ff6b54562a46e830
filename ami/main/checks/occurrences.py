"""The pair of occurrences without a determination, where code written for Antenna looks for it."""

from ami.main.checks.missing_determination import (
    get_occurrences_missing_determination,
    reconcile_missing_determinations,
)

__all__ = ["get_occurrences_missing_determination", "reconcile_missing_determinations"]

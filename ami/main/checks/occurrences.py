"""Names for code that was written for Antenna."""

from ami.main.checks.missing_determination import (
    get_occurrences_missing_determination,
    reconcile_missing_determinations,
)

__all__ = ["get_occurrences_missing_determination", "reconcile_missing_determinations"]

"""The findings of the latest checks, for `/metrics`."""

from collections.abc import Iterator

from ami.integrity.models import IntegrityResult
from ami.jobs.watch.figures import FIGURES, Figure


def of_checks() -> Iterator[Figure]:
    """The faulty rows that nobody acknowledged, by the latest result of each check of all rows."""
    latest = (
        IntegrityResult.objects.filter(run__project=None, run__job=None, error="")
        .order_by("key", "-pk")
        .distinct("key")
        .values_list("key", "severity", "remaining", "acknowledged")
    )
    values: dict[tuple[str, ...], float] = {
        (key, level): float(found - known) for key, level, found, known in latest
    }
    meaning = "Faulty rows that are not acknowledged, at the latest check of all rows."
    yield Figure("ami_check_findings", meaning, ("check", "severity"), values)


FIGURES.register("checks", of_checks)

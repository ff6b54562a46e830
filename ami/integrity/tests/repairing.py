"""Repairs as Jobs, for the tests."""

from typing import Any

from ami.integrity.finding import EVERYTHING, Scope
from ami.integrity.service import new_repair
from ami.jobs.models import Job
from ami.jobs.service import create_jobs
from ami.main.checks.declarations import chosen_checks

KEY = "missing_determination"
KEYS = (KEY, "stale_score")


def queue(*keys: str, scope: Scope = EVERYTHING, **fields: Any) -> Job:
    return create_jobs([new_repair(chosen_checks(keys=keys or KEYS), scope=scope, **fields)])[0]

"""Repairs in the process of a test, and checks with other repairs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from ami.integrity.finding import EVERYTHING, Scope
from ami.integrity.models import IntegrityRun
from ami.integrity.service import new_repair, repair_here
from ami.main.checks.declarations import CHECKS, Check, Fix


def repair(
    checks: Iterable[Check], *, scope: Scope = EVERYTHING, **listeners: Callable[[Any], object]
) -> IntegrityRun:
    """Repair what the checks find, as a Job, and return its integrity run."""
    run = repair_here(new_repair(checks, scope=scope), **listeners)
    assert run is not None
    return run


@contextmanager
def another_fix(patch: pytest.MonkeyPatch, key: str, fix: Fix) -> Iterator[None]:
    """Let a check of one table repair its rows with `fix` while the block runs."""
    check = CHECKS[key]
    with patch.context() as context:
        pairs = (replace(check.pairs[0], fix=fix),)
        context.setitem(CHECKS._entries, key, replace(check, pairs=pairs))
        yield

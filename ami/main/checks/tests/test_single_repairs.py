"""Repairs of one check, which cause no findings of other checks."""

import pytest
from django.db import transaction

from ami.integrity.service import reconcile
from ami.main.checks.declarations import CHECKS, Check
from ami.main.checks.tests import faults
from ami.main.checks.tests.world import FAULTS, Rows, make_world
from ami.main.counts import refresh_counts

pytestmark = pytest.mark.django_db
__all__ = ["faults"]  # which declare themselves

Findings = dict[str, Rows]


def findings() -> Findings:
    refresh_counts()
    return {
        key: {(type(row), row.pk) for pair in check.pairs for row in pair.get(None, None)}
        for key, check in CHECKS.items()
    }


def new_findings(check: Check, before: Findings) -> Findings:
    """Return the rows that are faulty only after the repair of the check, and roll it back."""
    with transaction.atomic():
        for pair in check.pairs:
            reconcile(pair)
        new = {key: rows - before[key] for key, rows in findings().items() if rows - before[key]}
        transaction.set_rollback(True)
    return new


def test_no_repair_makes_another_check_red() -> None:
    """Each world has one fault, and each repair runs on all of them."""
    for makers in FAULTS.values():
        for make in makers:
            make(make_world())
    before = findings()
    repairs = [check for check in CHECKS.values() if check.repair]
    assert all(before.values())

    assert {check.key: new for check in repairs if (new := new_findings(check, before))} == {}

"""Deployments that a file describes: created with what it says, compared, or completed."""

from collections.abc import Mapping
from datetime import time
from math import isclose
from typing import Any

from ami.base.models import change_rows
from ami.exchange.plan import Change, ImportPlan, Outcome
from ami.exchange.reading.records import FACTS, DeploymentRecord
from ami.main.models import Deployment

TOLERANCE = 1e-7  # degrees, about a centimetre


def compare(
    rows: Mapping[str, Deployment],
    records: Mapping[str, DeploymentRecord],
    plan: ImportPlan,
    *,
    update: bool,
) -> set[int]:
    """Tell the plan what differs for deployments that exist, and change it if that is asked for.

    What the database does not tell yet is filled in either way. Returns the deployments whose
    captures are now divided into other nights.
    """
    changed, divided = [], set()
    for name, row in rows.items():
        if (record := records.get(name)) is None or not record.facts:
            continue
        new = {
            key: value
            for key, value in record.facts.items()
            if not _is_same(getattr(row, key), value)
        }
        missing = {key for key in new if getattr(row, key) in (None, "")}
        others = new.keys() - missing
        if not new:
            plan.count(Outcome.UNCHANGED, Deployment)
        for outcome, keys in (
            (Outcome.CHANGED, new.keys() if update else missing),
            (Outcome.DIFFERS, set() if update else others),
        ):
            changes = [
                Change(key.replace("_", " "), _plain(getattr(row, key)), _plain(new[key]))
                for key in FACTS
                if key in keys
            ]
            if changes:
                plan.add(outcome, Deployment, name, record.place, changes=changes)
        for key in new if update else missing:
            setattr(row, key, new[key])
        if update or missing:
            changed.append(row)
        if update and Deployment.DIVIDERS & new.keys():
            divided.add(row.pk)
    change_rows(changed, FACTS)
    return divided


def _is_same(old: Any, new: Any) -> bool:
    if isinstance(old, float):
        return isclose(old, float(new), rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(old, str):  # some formats have no line breaks
        return old.split() == str(new).split()
    return bool(old == new)


def _plain(value: Any) -> Any:
    return f"{value:%H:%M:%S}" if isinstance(value, time) else value

"""The output of `check_data_integrity`."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ami.base.words import counted
from ami.integrity.models import IntegrityResult, IntegrityRun, IntegrityStatus
from ami.main.checks.declarations import CHECKS, Check, Severity

CLEAN, FINDINGS, COULD_NOT_RUN = 0, 1, 2
BLANK: dict[str, Any] = {
    "run": None,
    "dry_run": None,
    "project": None,
    "job": None,
    "repair_job": None,
    "exit_code": COULD_NOT_RUN,
    "error": "",
    "checks": [],
}
FIGURES = ("found", "fixed", "unfixable", "remaining", "acknowledged")


def exit_code(results: Iterable[IntegrityResult], *, fail_level: Severity) -> int:
    failing = [result.status for result in results if _counts(result, fail_level)]
    if IntegrityStatus.COULD_NOT_RUN in failing:
        return COULD_NOT_RUN
    return FINDINGS if IntegrityStatus.FOUND in failing else CLEAN


def _counts(result: IntegrityResult, fail_level: Severity) -> bool:
    return bool(result.error) or Severity(result.severity).rank >= fail_level.rank


def as_json(
    run: IntegrityRun, results: Iterable[IntegrityResult], *, samples: int, exit_code: int
) -> str:
    """Return one JSON object; see `docs/reference/check_data_integrity.schema.json`."""
    told = {
        "run": run.pk,
        "dry_run": run.dry_run,
        "project": run.project_id,
        "job": run.job_id,
        "repair_job": run.repair_job_id,
        "exit_code": exit_code,
        "checks": [_result_as_json(result, samples) for result in results],
    }
    return json.dumps(BLANK | told)


def _result_as_json(result: IntegrityResult, samples: int) -> dict[str, Any]:
    return {
        "key": result.key,
        "severity": result.severity,
        "status": result.status.value,
        "seconds": round(result.seconds, 3),
        **{name: getattr(result, name) for name in FIGURES},
        "error": result.error,
        "samples": {model: ids[:samples] for model, ids in result.samples.items()},
        "reasons": result.reasons[:samples],
    }


def as_text(run: IntegrityRun, results: list[IntegrityResult], *, samples: int) -> str:
    repair = not run.dry_run
    lines = [line for result in results for line in _lines(result, samples, repair=repair)]
    if repair:
        repaired = sum(result.fixed for result in results)
        lines.append(f"Repair of {run.scope}: {repaired:,} repaired.{_journal(run)}")
    lines.append(_footer(results))
    if not repair and (keys := _repairable(results)):
        lines.append(f"To repair these rows, run: {_command(run, keys)}")
    return "\n".join(lines)


def _journal(run: IntegrityRun) -> str:
    """Refer to the journal, unless only counts or projects of captures were repaired."""
    if run.repair_job is None or not run.repair_job.changes.exists():
        return ""
    return f" The changes are in the journal of Job {run.repair_job_id}."


def _repairable(results: Iterable[IntegrityResult]) -> list[str]:
    return [r.key for r in results if r.remaining and r.key in CHECKS and CHECKS[r.key].repair]


def _command(run: IntegrityRun, keys: Iterable[str]) -> str:
    options = {"project": run.project_id, "job": run.job_id}
    words = ["manage.py check_data_integrity --no-dry-run"]
    words += [f"--{name} {pk}" for name, pk in options.items() if pk]
    return " ".join([*words, *(f"--check {key}" for key in keys)])


def _lines(result: IntegrityResult, samples: int, *, repair: bool) -> Iterator[str]:
    yield f"{result.severity:8} {result.key:32} {_outcome(result, repair=repair)}"
    if result.error:
        yield f"{'':9}{result.error}"
    for model, ids in result.samples.items():
        if ids[:samples]:
            more = ", …" if len(ids) > samples or result.remaining > len(ids) else ""
            yield f"{'':9}{model}: {', '.join(map(str, ids[:samples]))}{more}"
    for refused in result.reasons[:samples]:
        yield f"{'':9}{refused['model']} {refused['id']}: {refused['reason']}"


def _outcome(result: IntegrityResult, *, repair: bool) -> str:
    if result.error:
        return "could not be completed"
    if not result.found:
        return "clean"
    told = [f"{result.found:,} found"]
    if repair:
        told.append(f"{result.fixed:,} repaired")
    told += [
        f"{getattr(result, name):,} {name}"
        for name in ("unfixable", "acknowledged")
        if getattr(result, name)
    ]
    return ", ".join([*told, f"{result.remaining:,} remain"])


def _footer(results: list[IntegrityResult]) -> str:
    """Summarize the run; it is never called clean while faulty rows remain."""
    checks = counted(len(results), "check")
    broken = sum(bool(result.error) for result in results)
    if broken:
        return f"{broken} of {checks} could not run."
    rows = {
        severity: sum(r.remaining for r in results if r.severity == severity)
        for severity in (Severity.ERROR, Severity.WARNING)
    }
    if not any(rows.values()):
        return f"Clean: {checks} found nothing{' that remains' * any(r.found for r in results)}."
    told = [counted(count, severity) for severity, count in rows.items()]
    return f"Remaining: {', '.join(told)}, from {checks}."


def listing(checks: Iterable[Check], *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"checks": [_declaration(check) for check in checks]})
    return "\n".join(
        f"{check.severity:8} {check.key:32} {check.tag:16} {check.title}" for check in checks
    )


def _declaration(check: Check) -> dict[str, Any]:
    names = ("key", "title", "severity", "tag", "meaning", "cause", "repair", "limits")
    return {name: getattr(check, name) for name in names}

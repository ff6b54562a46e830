"""A report: each check counts its faulty rows, and its result is stored."""

import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.admin.models import ADDITION
from django.db import connection, transaction
from django.utils import timezone

from ami.base.audit import Kind, record
from ami.integrity.finding import EVERYTHING, Scope, Survey
from ami.integrity.history import acknowledged_rows, prune_history
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.main.checks.declarations import Check

if TYPE_CHECKING:
    from ami.users.models import User

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())  # no traceback on stderr if logging is not configured

INTERRUPTED = "The run was told to stop, or reached its time limit."


def run_checks(
    checks: Iterable[Check],
    *,
    scope: Scope = EVERYTHING,
    user: "User | None" = None,
    on_result: Callable[[IntegrityResult], object] = lambda result: None,
    schedule: str = "",
) -> IntegrityRun:
    """Run the checks one by one, store their results, and delete runs older than 90 days.

    A check that fails does not stop the others; its result contains the reason. `on_result` is
    called after each check. `schedule` is the name of the periodic task that started the run.
    """
    run = IntegrityRun.objects.create(
        user=user, project_id=scope.project_id, job_id=scope.job_id, schedule=schedule
    )
    by = f" by the schedule “{schedule}”" if schedule else ""
    record([run], kind=Kind.CHECK, user=user, message=f"Started{by}.", flag=ADDITION)
    survey = Survey(scope)
    for check in checks:
        result = new_result(run, check)
        try:
            examine(check, result, survey)
            result.found = result.remaining
        except BaseException:  # Ctrl-C among them
            result.error = INTERRUPTED
            raise
        finally:
            result.save()
            on_result(result)
    end(run)
    return run


def new_result(run: IntegrityRun, check: Check) -> IntegrityResult:
    """Return an unsaved result without findings."""
    return IntegrityResult(run=run, key=check.key, severity=check.severity)


def examine(check: Check, result: IntegrityResult, survey: Survey) -> Exception | None:
    """Count the rows that are faulty now, and store them as the remaining rows of `result`.

    If the check fails, `result` has the reason, and the error is returned. Raises only the time
    limit of a task.
    """
    start, scope = monotonic(), survey.scope
    try:
        with transaction.atomic():
            found = {pair.label: survey.found(pair) for pair in check.pairs}
            result.remaining = sum(rows.rows for rows in found.values())
            result.samples = {label: rows.first for label, rows in found.items() if rows.rows}
            result.acknowledged = acknowledged_rows(check, scope.project_id, scope.job_id, result)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        logger.exception("The check %s could not run.", check.key)
        result.error = f"{type(error).__name__}: {first_line(error)}"
        if not connection.in_atomic_block and not connection.is_usable():
            connection.close()  # the next query opens a new one
        return error
    finally:
        result.seconds += monotonic() - start
    return None


def end(run: IntegrityRun) -> None:
    """Note that the run is complete, and delete old ones."""
    run.finished_at = timezone.now()
    run.save(update_fields=["finished_at", "updated_at"])
    prune_history()


def first_line(error: Exception) -> str:
    """Return the first line of the error, without PostgreSQL's context."""
    return str(error).strip().partition("\n")[0] or type(error).__name__

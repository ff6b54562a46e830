"""A run of checks, which finds, repairs and checks again, and stores each result."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.utils import timezone

from ami.base.faults import is_programming_error
from ami.integrity.finding import EVERYTHING, Scope, Survey
from ami.integrity.history import acknowledged_rows, prune_history
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.main.checks.declarations import Check, Pair
from ami.main.checks.repair import INTERRUPTED, RepairContext, RepairStoppedError, first_line
from ami.main.checks.schemas import SAMPLES, IntegrityCheckResult

if TYPE_CHECKING:
    from ami.users.models import User

logger = logging.getLogger(__name__)
logger.addHandler(logging.NullHandler())  # no traceback on stderr if logging is not configured


PLAIN = RepairContext()


def run_checks(
    checks: Iterable[Check],
    *,
    scope: Scope = EVERYTHING,
    dry_run: bool = True,
    user: "User | None" = None,
    repair_job_id: int | None = None,
    context: RepairContext = PLAIN,
    on_result: Callable[[IntegrityResult], object] = lambda result: None,
    schedule: str = "",
) -> IntegrityRun:
    """Run the checks one by one, store their results, and delete runs older than 90 days.

    A check that fails does not stop the others; its result contains the reason. With
    `dry_run=False` the faulty rows are repaired within `context`, whose journal belongs to
    `repair_job_id`. `on_result` is called after each check. `schedule` is the name of the periodic
    task that started the run.
    """
    run = IntegrityRun.objects.create(
        user=user,
        project_id=scope.project_id,
        job_id=scope.job_id,
        dry_run=dry_run,
        repair_job_id=repair_job_id,
        schedule=schedule,
    )
    survey = Survey(scope)
    for check in checks:
        result = IntegrityResult(run=run, key=check.key, severity=check.severity)
        try:
            examine(check, result, survey, dry_run=dry_run, context=context)
        except BaseException:  # Ctrl-C among them
            result.error = result.error or f"{INTERRUPTED}."
            raise
        finally:
            result.save()
            on_result(result)
    run.finished_at = timezone.now()
    run.save(update_fields=["finished_at", "updated_at"])
    prune_history()
    return run


def examine(
    check: Check, result: IntegrityResult, survey: Survey, *, dry_run: bool, context: RepairContext
) -> None:
    """Count the faulty rows; unless `dry_run`, repair them and count again. Fills in `result`.

    Raises only the `interrupts` of the context.
    """
    start, scope = monotonic(), survey.scope
    try:
        _look(check, survey, result)
        result.found = result.remaining
        if result.found and not dry_run:
            with one_at_a_time(check):
                _repair(check, scope, result, context)
            survey.forget()
            _look(check, survey, result)
        result.acknowledged = acknowledged_rows(check, scope.project_id, scope.job_id, result)
    except context.interrupts:
        raise
    except Exception as error:
        logger.exception("The check %s could not run.", check.key)
        _tell_crash(error, context)
        result.error = result.error or f"{type(error).__name__}: {first_line(error)}"
        _reconnect()
    finally:
        result.seconds = monotonic() - start


def _look(check: Check, survey: Survey, result: IntegrityResult) -> None:
    remaining, samples = 0, {}
    for pair in check.pairs:
        if (found := survey.found(pair)).rows:
            remaining += found.rows
            samples[_label(pair)] = found.first
    result.remaining, result.samples = remaining, samples


def _repair(check: Check, scope: Scope, result: IntegrityResult, context: RepairContext) -> None:
    for pair in check.pairs:
        try:
            done = pair.reconcile(scope.project_id, scope.job_id, dry_run=False, context=context)
        except RepairStoppedError as stopped:
            result.error = str(stopped)
            _add(result, pair, stopped.result)
            if isinstance(stopped.__cause__, context.interrupts):
                raise stopped.__cause__ from None
            logger.exception("The repair of %s stopped.", check.key)
            _tell_crash(stopped.__cause__, context)
            _reconnect()
            return
        _add(result, pair, done)


def _tell_crash(error: BaseException | None, context: RepairContext) -> None:
    if isinstance(error, Exception) and is_programming_error(error):
        context.on_crash(error)


def _add(result: IntegrityResult, pair: Pair, done: IntegrityCheckResult) -> None:
    result.fixed += done.fixed
    result.unfixable += done.unfixable
    result.remaining = max(0, result.remaining - done.fixed)
    result.reasons += _reasons(pair, done.reasons)[: SAMPLES - len(result.reasons)]


def _reasons(pair: Pair, reasons: dict[int, str]) -> list[dict[str, Any]]:
    model = _label(pair)
    return [{"model": model, "id": pk, "reason": reason} for pk, reason in reasons.items()]


def _label(pair: Pair) -> str:
    return str(pair.get(None, None).model._meta.label_lower)


def _reconnect() -> None:
    """If the connection was lost, let the next query open a new one."""
    if not connection.is_usable():
        connection.close()


@contextmanager
def one_at_a_time(check: Check) -> Iterator[None]:
    """Hold a lock, so that no two repairs of this check run at the same time."""
    name = [f"ami.main.checks.{check.key}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", name)
    try:
        yield
    finally:
        # If the connection was lost, PostgreSQL has already released the lock.
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)

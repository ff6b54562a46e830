"""Only the failing unit is skipped; it is shown and counted."""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from ami.jobs.states import JobState, Outcome
from ami.jobs.tests.seeing import SeeingTask, broker, detections, seeing, unseen, worked
from ami.jobs.tests.workers import Broker
from ami.main.models import Detection
from ami.ml.post_processing.tests.methods import make_scope

__all__ = ["broker", "seeing"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("seeing")]

FORBID = """
CREATE OR REPLACE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id IN ({ids}) AND NEW.path = 'seen' THEN
        RAISE EXCEPTION 'No % for %.', TG_NAME, NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER forbidden AFTER UPDATE ON main_detection {deferred}
FOR EACH ROW EXECUTE FUNCTION forbid()
"""


@pytest.fixture
def forbidden() -> Iterator[Any]:
    """Let the database refuse an update of these detections, at once or at the commit."""

    def forbid(ids: list[int], *, deferred: bool = False) -> None:
        when = "DEFERRABLE INITIALLY DEFERRED" if deferred else ""
        with connection.cursor() as cursor:
            cursor.execute(FORBID.format(ids=", ".join(map(str, ids)), deferred=when))

    yield forbid
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS forbid CASCADE")


@pytest.mark.parametrize("places", [[0], [31], [63], [7, 8, 40]], ids=str)
def test_units_that_raise_are_left_out_alone(broker: Broker, places: list[int]) -> None:
    scope = make_scope(*[1] * 64)
    odd = [detections()[place] for place in places]
    SeeingTask.odd.update(odd)
    job = worked(broker, scope)
    assert job.outcome == Outcome.PROBLEMS
    assert unseen() == odd
    assert job.progress.figures == {
        "Seen": 64 - len(odd),
        "Skipped: failed with ValueError": len(odd),
    }
    ids = ", ".join(map(str, odd))
    assert job.logs.filter(level="WARNING").last().message == (  # type: ignore[union-attr]
        f"Skipped {len(odd)}: failed with ValueError. Ids: {ids}."
    )
    assert sorted(job.parts.values_list("rows_done", flat=True)) == [32, 32]
    assert sum(job.parts.values_list("rows_failed", flat=True)) == len(odd)


@pytest.mark.parametrize("deferred", [False, True], ids=["at once", "at the commit"])
@pytest.mark.parametrize("dry_run", [False, True], ids=["run", "dry run"])
def test_unit_that_the_database_refuses_is_left_out_alone(
    broker: Broker, forbidden: Any, *, deferred: bool, dry_run: bool
) -> None:
    scope = make_scope(*[1] * 40)
    odd = detections()[17]
    forbidden([odd], deferred=deferred)
    job = worked(broker, scope, dry_run=dry_run)
    assert job.outcome == Outcome.PROBLEMS
    assert unseen() == (detections() if dry_run else [odd])
    changed = job.changes.order_by("object_id").values_list("object_id", flat=True)
    assert list(changed) == [pk for pk in detections() if pk != odd]
    assert job.progress.figures["Seen"] == 39


def test_unit_is_left_out_whole(broker: Broker) -> None:
    scope = make_scope(3, 3, 3)
    odd = detections()[4]
    SeeingTask.odd.add(odd)
    job = worked(broker, scope)
    assert unseen() == detections()[3:6]
    assert job.progress.figures == {"Seen": 6, "Skipped: failed with ValueError": 3}


def test_scope_that_fails_whole_has_crashed(broker: Broker) -> None:
    scope = make_scope(*[1] * 20)
    SeeingTask.odd.update(detections())
    job = worked(broker, scope)
    assert (job.outcome, job.error) == (Outcome.CRASHED, "Every row failed; the log says why.")
    assert unseen() == detections()


@pytest.mark.parametrize("rows", [50, 64])
def test_many_failing_units_fail_the_job(broker: Broker, rows: int) -> None:
    """At 50, the last unit of the last part exceeds the limit."""
    scope = make_scope(*[1] * rows)
    SeeingTask.odd.update(detections())
    job = worked(broker, scope, workers=1)
    assert job.outcome == Outcome.FAILED
    assert job.error.startswith(
        "50 of 50 rows failed, more than 50%. The last error: ValueError: Od"
    )


@pytest.mark.parametrize("rows", [64, 200])
def test_many_units_that_fail_side_by_side_fail_the_job(broker: Broker, rows: int) -> None:
    scope = make_scope(*[1] * rows)
    SeeingTask.odd.update(detections())
    job = worked(broker, scope)
    assert job.outcome == Outcome.FAILED
    # Of two that are the 49th at once, neither is one too many; the next one is.
    assert re.match(
        r"(50 of 50|51 of 51) rows failed, more than 50%\. The last error: V", job.error
    )


def test_job_goes_on_where_less_than_half_fails(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeeingTask, "batch_size", 1)
    monkeypatch.setattr(SeeingTask, "part_batches", 32)
    scope = make_scope(*[1] * 150)
    SeeingTask.odd.update(detections()[1::3] + detections()[2:60:6])
    job = worked(broker, scope)
    assert job.outcome == Outcome.PROBLEMS
    assert unseen() == sorted(SeeingTask.odd)
    assert len(unseen()) > 50


def execute(sql: str, *params: Any) -> Callable[[str], None]:
    def fault(told: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql, params or None)

    return fault


def raiser(error: type[Exception]) -> Callable[[str], None]:
    def fault(told: str) -> None:
        raise error(told)

    return fault


PROGRAMMING_ERRORS = {
    "an undefined function": execute("SELECT no_such_function(1)"),
    "an undefined table": execute("SELECT 1 FROM no_such_table"),
    "bad syntax": execute("SELEKT 1"),
    "a feature that is not supported": execute("DO $$ BEGIN RAISE SQLSTATE '0A000'; END $$"),
    "an undefined schema": execute("CREATE TABLE no_such_schema.t (id int)"),
    "a parameter of no known type": execute("SELECT %s", object()),
    "a query that is not supported": lambda told: Detection.objects.union(
        Detection.objects.all()
    ).update(path=""),
    "an unknown field": lambda told: Detection.objects.order_by("no_such_field"),
    **{
        error.__name__: raiser(error)
        for error in (NameError, UnboundLocalError, AttributeError, TypeError)
    },
    "ImportError": raiser(ImportError),
    "ModuleNotFoundError": lambda told: import_module("no_such_module"),
}


@pytest.mark.parametrize("fault", PROGRAMMING_ERRORS.values(), ids=PROGRAMMING_ERRORS)
def test_programming_error_ends_the_run_on_its_first_occurrence(
    broker: Broker, fault: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[str] = []

    def meet(told: str) -> None:
        met.append(told)
        fault(told)

    scope = make_scope(*[1] * 32)
    SeeingTask.odd.update(detections()[16:])
    monkeypatch.setattr(SeeingTask, "fault", staticmethod(meet))
    job = worked(broker, scope)
    assert (job.status, job.outcome) == (JobState.FAILURE, Outcome.CRASHED)
    assert job.error.startswith("The run crashed: ")
    assert len(met) == 1
    assert unseen() == detections()[16:]
    assert job.progress.figures == {"Seen": 16}
    assert job.changes.count() == 16
    assert "Traceback" in job.logs.get(level="ERROR").message

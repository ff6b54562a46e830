"""The batches of a repair, independent of the check."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_occurrence, make_taxon
from ami.integrity.models import IntegrityStatus
from ami.integrity.runner import run_checks
from ami.main.checks import (
    IntegrityCheckResult,
    get_occurrences_missing_determination,
    reconcile_missing_determinations,
)
from ami.main.checks.declarations import CHECKS
from ami.main.checks.repair import RepairContext, RepairStoppedError
from ami.main.checks.tests.world import execute
from ami.main.models import Identification, Occurrence

POISON = """
CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE {code} USING MESSAGE = format('Row %%s is poisoned.', OLD.id); END $$;
CREATE TRIGGER poison BEFORE UPDATE ON main_occurrence FOR EACH ROW
WHEN (OLD.id IN ({ids})) EXECUTE FUNCTION poison()
"""


def make_undetermined(count: int) -> list[int]:
    """Create occurrences with an identification, without applying the rule."""
    project = make_occurrence().project
    rows = Occurrence.objects.bulk_create(Occurrence(project=project) for _ in range(count))
    taxon = make_taxon()
    Identification.objects.bulk_create(Identification(occurrence=row, taxon=taxon) for row in rows)
    return [row.pk for row in rows]


def poison(*ids: int, code: str = "raise_exception") -> None:
    execute(POISON.replace("{ids}", ", ".join(map(str, ids))).replace("{code}", code))


@pytest.mark.django_db
def test_all_but_the_poisoned_row_are_repaired() -> None:
    ids = make_undetermined(10_000)
    poison(ids[7_777])

    done = reconcile_missing_determinations(dry_run=False)

    assert (done.checked, done.fixed, done.unfixable) == (10_000, 9_999, 1)
    assert done.reasons == {ids[7_777]: f"Row {ids[7_777]} is poisoned."}
    assert get_occurrences_missing_determination().get().pk == ids[7_777]


@pytest.mark.django_db
def test_first_and_last_row_of_a_batch_may_be_the_bad_ones() -> None:
    ids = make_undetermined(30)
    poison(ids[0], ids[9], ids[10], ids[29])

    done = reconcile_missing_determinations(dry_run=False, context=RepairContext(batch_size=10))

    assert (done.checked, done.fixed, done.unfixable) == (30, 26, 4)
    assert sorted(done.reasons) == [ids[0], ids[9], ids[10], ids[29]]


@pytest.mark.django_db
def test_only_the_first_hundred_reasons_are_kept() -> None:
    ids = make_undetermined(150)
    poison(*ids)

    done = reconcile_missing_determinations(dry_run=False)

    assert done.unfixable == 150
    assert sorted(done.reasons) == ids[:100]


@pytest.mark.django_db
def test_queries_of_a_batch_do_not_grow_with_its_rows() -> None:
    def queries(count: int) -> int:
        make_undetermined(count)
        with CaptureQueriesContext(connection) as context:
            done = reconcile_missing_determinations(dry_run=False)
        assert done.fixed == count
        return len(context)

    assert queries(1_000) == queries(1)


@pytest.mark.django_db
def test_each_batch_is_one_transaction_of_the_context() -> None:
    make_undetermined(25)
    opened: list[int] = []
    told: list[int] = []

    @contextmanager
    def counted() -> Iterator[None]:
        opened.append(Occurrence.objects.filter(determination=None).count())
        with transaction.atomic():
            yield

    context = RepairContext(transaction=counted, on_batch=told.append, batch_size=10)
    reconcile_missing_determinations(dry_run=False, context=context)

    assert opened == [26, 16, 6]
    assert told == [10, 10, 5]


@pytest.mark.django_db
def test_transaction_of_the_caller_keeps_its_settings() -> None:
    make_undetermined(1)
    reconcile_missing_determinations(dry_run=False)
    assert execute("SHOW enable_sort") == ["on"]


def cut_connection(rows: int = 0) -> None:
    """End the connection, as an administrator or a restart of the server does."""
    (pid,) = execute("SELECT pg_backend_pid()")
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()


@pytest.mark.django_db(transaction=True)
def test_cut_connection_ends_the_repair_and_a_second_run_goes_on() -> None:
    ids = make_undetermined(30)
    context = RepairContext(on_batch=cut_connection, batch_size=10)

    with pytest.raises(RepairStoppedError, match=f"stopped after id {ids[9]}.*10 rows") as stopped:
        reconcile_missing_determinations(dry_run=False, context=context)

    connection.close()
    assert (stopped.value.result.checked, stopped.value.result.fixed) == (10, 10)
    assert get_occurrences_missing_determination().count() == 20
    assert reconcile_missing_determinations(dry_run=False).fixed == 20


@pytest.mark.django_db(transaction=True)
def test_connection_cut_within_a_batch_splits_nothing() -> None:
    make_undetermined(5)
    opened = []

    @contextmanager
    def cut() -> Iterator[None]:
        opened.append(1)
        with transaction.atomic():
            cut_connection()
            yield

    with pytest.raises(RepairStoppedError, match="before its first batch"):
        reconcile_missing_determinations(dry_run=False, context=RepairContext(transaction=cut))

    connection.close()
    assert len(opened) == 1
    assert get_occurrences_missing_determination().count() == 5


@pytest.mark.django_db(transaction=True)
def test_run_tells_where_it_stopped_and_the_other_checks_go_on() -> None:
    ids = make_undetermined(30)
    make_occurrence()
    context = RepairContext(on_batch=cut_connection, batch_size=10)
    checks = [CHECKS["missing_determination"], CHECKS["occurrence_without_detections"]]

    run = run_checks(checks, dry_run=False, context=context)
    stopped, other = run.results.order_by("pk")

    assert (stopped.found, stopped.fixed, stopped.remaining) == (30, 10, 20)
    assert f"after id {ids[9]}" in stopped.error
    assert stopped.status == IntegrityStatus.COULD_NOT_RUN
    assert other.found == 32
    assert run.finished_at
    assert run_checks(checks[:1], dry_run=False).results.get().fixed == 20


@pytest.mark.django_db
def test_error_of_the_program_ends_the_repair_on_its_first_occurrence() -> None:
    poison(*make_undetermined(30), code="undefined_function")
    crashes: list[Exception] = []
    opened = []

    @contextmanager
    def counted() -> Iterator[None]:
        opened.append(1)
        with transaction.atomic():
            yield

    context = RepairContext(transaction=counted, on_crash=crashes.append)
    check = CHECKS["missing_determination"]
    run = run_checks([check], dry_run=False, context=context)
    (result,) = run.results.all()
    assert len(opened) == len(crashes) == 1
    assert (result.fixed, result.unfixable, result.remaining) == (0, 0, 30)
    assert result.status == IntegrityStatus.COULD_NOT_RUN
    assert "is poisoned" in result.error


@pytest.mark.django_db
def test_names_of_antenna_are_there() -> None:
    ids = make_undetermined(2)
    assert set(
        get_occurrences_missing_determination(None, None).values_list("pk", flat=True)
    ) == set(ids)
    assert reconcile_missing_determinations(None, None, ids[:1], True) == IntegrityCheckResult(1)
    assert reconcile_missing_determinations(occurrence_ids=ids[:1], dry_run=False).fixed == 1
    assert Occurrence.objects.exclude(determination=None).get().pk == ids[0]
    assert Identification.objects.count() == 2

"""The batches of a repair, independent of the check."""

import pytest
from django.db import connection
from django.db.models import Count
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_occurrence, make_taxon
from ami.integrity.models import IntegrityStatus
from ami.jobs.models import JobChange
from ami.main.checks import (
    IntegrityCheckResult,
    get_occurrences_missing_determination,
    reconcile_missing_determinations,
)
from ami.main.checks.declarations import CHECKS
from ami.main.checks.tests.repairing import another_fix, repair
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
    ids = make_undetermined(2_500)
    poison(ids[1_777])

    done = reconcile_missing_determinations(dry_run=False)

    assert (done.checked, done.fixed, done.unfixable) == (2_500, 2_499, 1)
    assert done.reasons == {ids[1_777]: f"Row {ids[1_777]} is poisoned."}
    assert get_occurrences_missing_determination().get().pk == ids[1_777]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.integrity.finding.BATCH_SIZE", 10)


@pytest.mark.django_db
@pytest.mark.usefixtures("small_batches")
def test_first_and_last_row_of_a_batch_may_be_the_bad_ones() -> None:
    ids = make_undetermined(30)
    poison(ids[0], ids[9], ids[10], ids[29])

    done = reconcile_missing_determinations(dry_run=False)

    assert (done.checked, done.fixed, done.unfixable) == (30, 26, 4)
    assert sorted(done.reasons) == [ids[0], ids[9], ids[10], ids[29]]


@pytest.mark.django_db
def test_only_the_first_hundred_reasons_are_kept() -> None:
    ids = make_undetermined(110)
    poison(*ids)

    done = reconcile_missing_determinations(dry_run=False)

    assert done.unfixable == 110
    assert sorted(done.reasons) == ids[:100]


@pytest.mark.django_db
@pytest.mark.usefixtures("untimed")
def test_queries_of_a_batch_do_not_grow_with_its_rows() -> None:
    def queries(count: int) -> int:
        make_undetermined(count)
        with CaptureQueriesContext(connection) as context:
            done = reconcile_missing_determinations(dry_run=False)
        assert done.fixed == count
        return len(context)

    queries(1)  # creates the account that stands for the system
    assert queries(1_000) == queries(1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_batches")
def test_each_batch_is_one_transaction() -> None:
    make_undetermined(25)
    told: list[int] = []

    repair([CHECKS["missing_determination"]], on_batch=told.append)

    batches = JobChange.objects.values("batch").annotate(rows=Count("pk")).order_by("batch")
    assert told == [batch["rows"] for batch in batches] == [10, 10, 5]


def cut_connection(rows: int = 0) -> None:
    """End the connection, as an administrator or a restart of the server does."""
    (pid,) = execute("SELECT pg_backend_pid()")
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("small_batches")
def test_repair_goes_on_after_a_cut_connection() -> None:
    make_undetermined(30)
    told: list[int] = []

    def cut_once(rows: int) -> None:
        told.append(rows)
        if len(told) == 2:
            cut_connection()

    run = repair([CHECKS["missing_determination"]], on_batch=cut_once)

    assert told == [10, 10, 10, 10]  # the second one was rolled back and tried again
    result = run.results.get()
    assert (result.found, result.fixed, result.remaining) == (30, 30, 0)
    assert JobChange.objects.count() == 30


@pytest.mark.django_db
def test_error_of_the_program_ends_the_repair_on_its_first_occurrence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_undetermined(30)
    monkeypatch.setattr("ami.integrity.finding.BATCH_SIZE", 10)
    called: list[list[int]] = []

    def broken(ids: list[int]) -> None:
        called.append(ids)
        raise TypeError("bug")

    with another_fix(monkeypatch, "missing_determination", broken):
        run = repair([CHECKS["missing_determination"]])

    (result,) = run.results.all()
    assert len(called) == 1
    assert (result.fixed, result.unfixable, result.remaining) == (0, 0, 30)
    assert (result.status, result.error) == (IntegrityStatus.COULD_NOT_RUN, "TypeError: bug")


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

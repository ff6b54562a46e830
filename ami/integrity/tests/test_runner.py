from dataclasses import replace
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_occurrence, make_project, make_user
from ami.integrity.finding import PLANNING, Scope
from ami.integrity.models import IntegrityResult, IntegrityStatus
from ami.integrity.runner import run_checks
from ami.integrity.work import LOCK
from ami.main.checks.declarations import CHECKS, Check, Pair, chosen_checks
from ami.main.checks.tests.faults.captures import corners_swapped
from ami.main.checks.tests.faults.counts import everything_counted_wrong
from ami.main.checks.tests.faults.occurrences import another_score, classified_and_undetermined
from ami.main.checks.tests.repairing import repair
from ami.main.checks.tests.world import FAULTS, execute, make_world
from ami.main.models import Deployment, Detection, Event, Occurrence, SourceImage
from ami.main.tests.test_determination_locks import (
    run_in_thread,
    wait_until_someone_waits_for_a_lock,
)

EMPTY = CHECKS["occurrence_without_detections"]
BOX = CHECKS["invalid_box"]
SETTINGS = "SELECT name || ' = ' || setting FROM pg_settings ORDER BY name"


def only(check: Check, **options: Any) -> IntegrityResult:
    return run_checks([check], **options).results.get()


def broken(get: Any) -> Check:
    return replace(BOX, key="broken", pairs=(Pair(get),))


def crash(project_id: int | None, job_id: int | None, ids: Any = None) -> QuerySet[Occurrence]:
    raise LookupError("There is no such thing.\nIndeed.")


def bad_query(project_id: int | None, job_id: int | None, ids: Any = None) -> QuerySet[Occurrence]:
    return Occurrence.objects.extra(where=["1 / 0 = 1"])


@pytest.mark.django_db
class TestIsolation:
    @pytest.mark.parametrize(
        ("get", "said"),
        [(crash, "LookupError: There is no such thing."), (bad_query, "DataError: division by")],
    )
    def test_check_that_fails_does_not_stop_the_others(self, get: Any, said: str) -> None:
        make_occurrence()

        failed, other = run_checks([broken(get), EMPTY]).results.order_by("pk")

        assert failed.status == IntegrityStatus.COULD_NOT_RUN
        assert failed.error.startswith(said)
        assert "\n" not in failed.error
        assert (other.status, other.found) == (IntegrityStatus.FOUND, 1)

    @pytest.mark.parametrize("interrupt", [SoftTimeLimitExceeded, KeyboardInterrupt])
    def test_interrupt_while_looking_is_told(self, interrupt: type[BaseException]) -> None:
        def interrupted(
            project_id: int | None, job_id: int | None, ids: Any = None
        ) -> QuerySet[Occurrence]:
            raise interrupt

        with pytest.raises(interrupt):
            run_checks([broken(interrupted), EMPTY])

        assert IntegrityResult.objects.get().status == IntegrityStatus.COULD_NOT_RUN


@pytest.mark.django_db
class TestResult:
    def test_run_is_kept_with_who_and_what(self) -> None:
        user, world = make_user(), make_world()

        run = run_checks(
            [EMPTY, BOX], user=user, scope=Scope(project_id=world.project.pk, job_id=world.job.pk)
        )

        run.refresh_from_db()
        assert (run.user, run.project, run.job, run.dry_run) == (
            user,
            world.project,
            world.job,
            True,
        )
        assert run.finished_at is not None
        assert [result.key for result in run.results.order_by("pk")] == [EMPTY.key, BOX.key]

    def test_report_counts_and_names_the_rows(self) -> None:
        world = make_world()
        corners_swapped(world)

        result = only(BOX)

        assert (result.found, result.fixed, result.unfixable, result.remaining) == (1, 0, 0, 1)
        assert result.samples == {"main.detection": [world.detections[0].pk]}
        assert (result.severity, result.status) == ("error", IntegrityStatus.FOUND)

    def test_no_more_than_a_hundred_ids_are_kept(self) -> None:
        project = make_project()
        Occurrence.objects.bulk_create(Occurrence(project=project) for _ in range(120))

        result = only(EMPTY)

        assert result.remaining == 120
        first = Occurrence.objects.order_by("pk").values_list("pk", flat=True)[:100]
        assert result.samples == {"main.occurrence": list(first)}

    def test_rows_are_judged_once_for_their_count_and_the_first_ids(self) -> None:
        corners_swapped(make_world())

        with CaptureQueriesContext(connection) as queries:
            result = only(BOX)

        assert result.samples
        assert len([query for query in queries if "main_detection" in query["sql"]]) == 1

    def test_checks_that_share_a_pass_read_the_rows_once(self) -> None:
        classified_and_undetermined(make_world())
        another_score(make_world())

        with CaptureQueriesContext(connection) as queries:
            run = run_checks(chosen_checks(tags=["determinations"]))

        read = [query for query in queries if "main_classification" in query["sql"]]
        assert len(read) == 1
        assert {result.key: result.found for result in run.results.all()} == {
            "missing_determination": 1,
            "stale_determination": 0,
            "stale_score": 1,
        }

    @pytest.mark.parametrize("check", [BOX, broken(bad_query)], ids=["found", "failed"])
    def test_settings_of_the_session_are_the_same_afterwards(self, check: Check) -> None:
        """The test is one transaction, in which a setting would stay."""
        before = execute(SETTINGS)

        with CaptureQueriesContext(connection) as queries:
            only(check)

        assert any(query["sql"] == PLANNING for query in queries)
        assert execute(SETTINGS) == before

    def test_repair_is_looked_at_again(self) -> None:
        make_occurrence()

        result = repair([EMPTY]).results.get()

        assert (result.found, result.fixed, result.unfixable, result.remaining) == (1, 1, 0, 0)
        assert (result.samples, result.status) == ({}, IntegrityStatus.CLEAN)

    def test_what_is_left_to_a_person_remains(self) -> None:
        world = make_world()
        corners_swapped(world)

        result = repair([BOX]).results.get()

        assert (result.found, result.fixed, result.unfixable, result.remaining) == (1, 0, 1, 1)
        (reason,) = result.reasons
        assert (reason["model"], reason["id"]) == ("main.detection", world.detections[0].pk)

    def test_check_of_several_tables_adds_them_up(self) -> None:
        world = make_world()
        everything_counted_wrong(world)

        result = only(CHECKS["stale_counts"])

        assert result.remaining == 3
        assert result.samples == {
            SourceImage._meta.label_lower: [world.captures[0].pk],
            Event._meta.label_lower: [world.event.pk],
            Deployment._meta.label_lower: [world.deployment.pk],
        }
        assert repair([CHECKS["stale_counts"]]).results.get().fixed == 3


@pytest.mark.django_db(transaction=True)
def test_batch_waits_for_another_one_of_its_check() -> None:
    make_occurrence()

    with transaction.atomic():
        execute(LOCK, "ami.main.checks.occurrence_without_detections")
        thread = run_in_thread(lambda: repair([EMPTY]))
        wait_until_someone_waits_for_a_lock()
        assert Occurrence.objects.exists()
    thread.join()

    assert not Occurrence.objects.exists()
    assert IntegrityResult.objects.get().fixed == 1


@pytest.mark.django_db(transaction=True)
def test_two_repairs_at_once_repair_each_row_once(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    Occurrence.objects.bulk_create(Occurrence(project=project) for _ in range(50))
    monkeypatch.setattr("ami.integrity.finding.BATCH_SIZE", 5)

    threads = [run_in_thread(lambda: repair([EMPTY])) for _ in range(2)]
    for thread in threads:
        thread.join()

    assert sum(IntegrityResult.objects.values_list("fixed", flat=True)) == 50
    assert not Occurrence.objects.exists()
    assert not IntegrityResult.objects.exclude(error="").exists()


@pytest.mark.django_db
def test_full_repair_leaves_a_clean_world() -> None:
    """In the order of the tags, no repair causes a fault for an earlier check."""
    for key, makes in FAULTS.items():
        if CHECKS[key].repair:
            for make in makes:
                make(make_world())
    repair(chosen_checks())

    left = run_checks(chosen_checks()).results.exclude(remaining=0)

    assert {result.key for result in left} <= {
        key for key, check in CHECKS.items() if check.repair is None
    }
    assert Detection.objects.exists()

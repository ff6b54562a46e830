"""The scheduled task that checks the integrity."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from ami.base.arguments import UnfitArgumentsError
from ami.base.registry import UnknownKeyError
from ami.base.tests.factories import make_user
from ami.base.tests.snapshots import snapshot
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.integrity.schedule import (
    SCHEDULE_NAME,
    TASKS,
    UnknownScopeError,
    check_integrity,
    schedule_daily,
    schedules,
)
from ami.integrity.tasks import check_data_integrity, data_integrity_check
from ami.jobs.models import Job
from ami.main.checks.declarations import CHECKS
from ami.main.checks.tests.world import TABLES, World
from ami.main.tasks import check_data_integrity as name_in_antenna
from config.tests.processes import wait_until

pytestmark = pytest.mark.django_db
UNFIT = [
    (["seven"], {}, "project_id: value is not a valid integer"),
    ([0], {}, "project_id: ensure this value is greater than or equal to 1"),
    ([10**30], {}, "project_id: ensure this value is less than or equal to"),
    ([True], {}, "project_id: value is not a valid integer"),
    ([], {"tags": "counts"}, "tags: value is not a valid sequence"),
    ([], {"checks": [1]}, "checks: str type expected"),
    ([], {"dry_run": "no"}, "dry_run: value is not a valid boolean"),
    ([], {"project": 1}, "kwargs: unexpected keyword argument: 'project'"),
    ([1, 1, True, 1], {}, "args: 3 positional arguments expected but 4 given"),
]


class TestTask:
    @pytest.mark.parametrize("task", [data_integrity_check, check_data_integrity, name_in_antenna])
    def test_reports_and_changes_nothing(self, world: World, task: Any) -> None:
        before = snapshot(*TABLES)

        told = task()

        assert told["missing_determination"] == {"checked": 1, "fixed": 0, "unfixable": 0}
        assert set(told) == set(CHECKS)
        assert snapshot(*TABLES) == before
        assert IntegrityRun.objects.get().dry_run

    def test_repairs_where_its_arguments_say_so(self, world: World) -> None:
        told = data_integrity_check(dry_run=False, checks=["missing_determination"])

        assert told == {"missing_determination": {"checked": 1, "fixed": 1, "unfixable": 0}}
        assert IntegrityRun.objects.get().repair_job == Job.objects.latest("pk")

    def test_is_cut_to_a_project_a_job_and_tags(self, world: World) -> None:
        user = make_user()
        told = data_integrity_check(
            world.project.pk, world.job.pk, tags=["catalogue"], user_id=user.pk
        )
        assert set(told) == {"orphan_name", "rank_order", "taxon_loop", "unresolved_labels"}
        run = IntegrityRun.objects.get()
        assert (run.project, run.job, run.user) == (world.project, world.job, user)

    @pytest.mark.parametrize("tags", [["x"], ["counts", "x"]])
    def test_unknown_tag_is_refused(self, tags: Any) -> None:
        with pytest.raises(UnknownKeyError, match=r"Unknown tag 'x'\. Known tags: catalogue, capt"):
            data_integrity_check(tags=tags, dry_run=False)

    def test_scope_that_is_gone_is_refused(self, world: World) -> None:
        with pytest.raises(UnknownScopeError, match=r"There is no project 999999\."):
            data_integrity_check(999_999)
        with pytest.raises(UnknownScopeError, match=r"There is no Job 999999\."):
            data_integrity_check(world.project.pk, 999_999, dry_run=False)

    def test_unknown_check_is_refused(self) -> None:
        with pytest.raises(UnknownKeyError, match="Unknown check 'x'"):
            data_integrity_check(checks=["x"])
        assert IntegrityRun.objects.get().error.startswith("Unknown check 'x'")

    @pytest.mark.parametrize(("args", "kwargs", "why"), UNFIT)
    def test_what_it_cannot_take_is_refused_and_kept(
        self, args: list[Any], kwargs: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(UnfitArgumentsError, match=re.escape(why)):
            data_integrity_check(*args, **kwargs)

        run = IntegrityRun.objects.get()
        assert why in run.error
        assert run.finished_at
        assert not run.results.exists()

    def test_all_names_are_those_of_tasks_that_workers_know(self) -> None:
        assert set(TASKS) <= set(current_app.tasks)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("celery_worker")
def test_schedule_that_cannot_run_is_told_until_it_can() -> None:
    schedule_daily()
    (planned,) = schedules()
    sent = {"periodic_task_name": planned.task.name}  # as beat does

    data_integrity_check.apply_async(kwargs={"checks": ["gone"]}, headers=sent)
    wait_until(IntegrityRun.objects.filter(schedule=planned.task.name).exists, seconds=60)

    (planned,) = schedules()
    assert planned.failed
    assert planned.failed.error.startswith("Unknown check 'gone'")

    data_integrity_check.apply_async(kwargs={"checks": ["taxon_loop"]}, headers=sent)
    wait_until(IntegrityRun.objects.filter(results__key="taxon_loop").exists, seconds=60)

    (planned,) = schedules()
    assert planned.failed is None


@pytest.mark.django_db(transaction=True)
def test_repair_of_a_schedule_is_known_as_its_run() -> None:
    schedule_daily()
    IntegrityRun.objects.create(schedule=SCHEDULE_NAME, error="There is no project 7.")

    check_integrity([], {"dry_run": False, "checks": ["taxon_loop"]}, schedule=SCHEDULE_NAME)

    assert schedules()[0].failed is None
    assert IntegrityRun.objects.latest("pk").schedule == SCHEDULE_NAME


class TestSchedule:
    def test_nothing_is_scheduled_at_first(self) -> None:
        assert schedules() == []

    def test_daily_once(self) -> None:
        assert schedule_daily()
        assert not schedule_daily()

        (planned,) = schedules()
        assert planned.next is not None
        daily = planned.next.replace(hour=4, minute=15, second=0, microsecond=0)
        assert abs(planned.next - daily) < timedelta(seconds=2)
        assert timedelta() <= planned.next - timezone.now() <= timedelta(days=1)

    def test_operators_own_schedule_is_left_alone(self) -> None:
        interval = IntervalSchedule.objects.create(every=6, period="hours")
        PeriodicTask.objects.create(name="Mine", task=TASKS[1], interval=interval)

        assert not schedule_daily()

        (planned,) = schedules()
        assert planned.task.name == "Mine"

    def test_schedule_that_is_switched_off_has_no_next_run(self) -> None:
        schedule_daily()
        PeriodicTask.objects.update(enabled=False)
        assert schedules()[0].next is None

    def test_schedule_of_no_day_has_no_next_run(self) -> None:
        never = CrontabSchedule.objects.create(minute="0", day_of_month="30", month_of_year="2")
        PeriodicTask.objects.create(name="Never", task=TASKS[0], crontab=never)
        assert schedules()[0].next is None

    def test_one_of_several_like_crontabs_is_taken(self) -> None:
        for _ in range(2):
            CrontabSchedule.objects.create(minute="15", hour="4", timezone="UTC")
        assert schedule_daily()

    def test_check_that_crashed_is_told_beside_its_schedule(self) -> None:
        schedule_daily()
        run = IntegrityRun.objects.create(schedule=SCHEDULE_NAME)
        IntegrityResult.objects.create(run=run, key="taxon_loop", error="DataError: odd.")
        assert schedules()[0].failed == run
        PeriodicTask.objects.update(enabled=False)
        assert schedules()[0].failed is None

    def test_run_that_is_overdue_is_due_now(self) -> None:
        schedule_daily()
        PeriodicTask.objects.update(last_run_at=datetime(2020, 1, 1, tzinfo=UTC))
        (planned,) = schedules()
        assert planned.next is not None
        assert abs(planned.next - timezone.now()) < timedelta(minutes=1)

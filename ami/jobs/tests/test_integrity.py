"""The task of beat that checks the integrity, and its schedule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from ami.base.registry import UnknownKeyError
from ami.base.tests.factories import make_user
from ami.base.tests.snapshots import snapshot
from ami.jobs.integrity import TASKS, UnknownScopeError, schedule_daily, schedules
from ami.jobs.models import Job
from ami.jobs.tasks import check_data_integrity, data_integrity_check
from ami.main.checks.declarations import CHECKS
from ami.main.checks.tests.faults.occurrences import classified_and_undetermined
from ami.main.checks.tests.world import TABLES, World, make_world
from ami.main.models import IntegrityRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    world = make_world()
    classified_and_undetermined(world)
    return world


class TestTask:
    @pytest.mark.parametrize("task", [data_integrity_check, check_data_integrity])
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
        assert set(told) == {"taxon_loop", "unresolved_labels"}
        run = IntegrityRun.objects.get()
        assert (run.project, run.job, run.user) == (world.project, world.job, user)

    @pytest.mark.parametrize("tags", [["x"], "counts", ["counts", "x"]])
    def test_unknown_tag_is_refused(self, tags: Any) -> None:
        with pytest.raises(UnknownKeyError, match=r"Unknown tag '.'\. There are: catalogue, capt"):
            data_integrity_check(tags=tags, dry_run=False)

    def test_scope_that_is_gone_is_refused(self, world: World) -> None:
        with pytest.raises(UnknownScopeError, match=r"There is no project 999999\."):
            data_integrity_check(999_999)
        with pytest.raises(UnknownScopeError, match=r"There is no Job 999999\."):
            data_integrity_check(world.project.pk, 999_999, dry_run=False)

    def test_unknown_check_is_refused(self) -> None:
        with pytest.raises(UnknownKeyError, match="Unknown check 'x'"):
            data_integrity_check(checks=["x"])
        assert not IntegrityRun.objects.exists()

    def test_both_names_are_those_of_tasks_that_workers_know(self) -> None:
        assert set(TASKS) <= set(current_app.tasks)


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

    def test_run_that_is_overdue_is_due_now(self) -> None:
        schedule_daily()
        PeriodicTask.objects.update(last_run_at=datetime(2020, 1, 1, tzinfo=UTC))
        (planned,) = schedules()
        assert planned.next is not None
        assert abs(planned.next - timezone.now()) < timedelta(minutes=1)

"""Starting checks and repairs of the integrity, and scheduling them, from the admin."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from kombu.exceptions import OperationalError as BrokerError

from ami.integrity.models import IntegrityRun
from ami.integrity.runner import run_checks
from ami.integrity.schedule import TASKS
from ami.integrity.tests.admin import KEY, LIST, link_of, page, text_of
from ami.jobs.models import Job
from ami.jobs.tests.admin import sign_in, told
from ami.main.access import Role
from ami.main.checks.declarations import chosen_checks
from ami.main.checks.tests.test_batches import make_undetermined
from ami.main.checks.tests.world import World, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the queued checks."""
    sent: list[Any] = []
    monkeypatch.setattr(
        "ami.integrity.admin.runs.data_integrity_check.delay",
        lambda *args, **kwargs: sent.append((args, kwargs)),
    )
    return sent


class TestCheckNow:
    def test_check_is_queued_for_who_asked(self, admin_client: Client, messages: list[Any]) -> None:
        response = admin_client.post(f"{LIST}check/")
        assert response.headers["Location"] == LIST
        ((args, kwargs),) = messages
        assert args == (None, None)
        assert kwargs["user_id"]
        assert told(response) == [
            "A check was queued. It appears in this list once a worker has begun it."
        ]

    def test_check_again_keeps_the_scope(self, admin_client: Client, messages: list[Any]) -> None:
        world = make_world()
        admin_client.post(f"{LIST}check/", {"project": world.project.pk, "job": world.job.pk})
        assert messages[0][0] == (world.project.pk, world.job.pk)

    @pytest.mark.parametrize(
        ("scope", "said"),
        [
            ({"project": "x"}, "'x' is not the id of a project."),
            ({"job": "\x00"}, "'\\x00' is not the id of a job."),
            ({"project": "999999"}, "There is no project 999999."),
            ({"job": "999999"}, "There is no Job 999999."),
        ],
    )
    def test_scope_that_is_gone_is_refused(
        self, admin_client: Client, messages: list[Any], scope: dict[str, str], said: str
    ) -> None:
        assert told(admin_client.post(f"{LIST}check/", scope)) == [said]
        assert not messages

    def test_visit_queues_nothing(self, admin_client: Client, messages: list[Any]) -> None:
        assert admin_client.get(f"{LIST}check/").status_code == 302
        assert not messages

    def test_broker_that_is_down_is_told(
        self, admin_client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise BrokerError("Connection refused.")

        monkeypatch.setattr("ami.integrity.admin.runs.data_integrity_check.delay", refuse)
        (said,) = told(admin_client.post(f"{LIST}check/"))
        assert said == "The broker did not take the check: Connection refused. Try again."


class TestSchedule:
    def test_one_click_schedules_it_and_shows_the_runs(self, admin_client: Client) -> None:
        assert "Schedule it daily" in admin_client.get(LIST).text
        response = admin_client.post(f"{LIST}schedule/")
        assert told(response) == ["The checks now run every day at 04:15 UTC."]

        said = text_of(admin_client.get(LIST))
        assert "next run" in said
        assert "no run yet" in said
        assert "Schedule it daily" not in said
        PeriodicTask.objects.update(last_run_at=timezone.now())
        assert "last run" in text_of(admin_client.get(LIST))

    def test_second_click_changes_nothing(self, admin_client: Client) -> None:
        admin_client.post(f"{LIST}schedule/")
        PeriodicTask.objects.update(enabled=False, description="Mine.")
        admin_client.post(f"{LIST}schedule/")
        kept = PeriodicTask.objects.get(name="integrity.data_integrity_check")
        assert (kept.enabled, kept.description) == (False, "Mine.")
        assert "disabled" in text_of(admin_client.get(LIST))

    def test_run_that_could_not_start_is_told_in_the_list_and_beside_its_schedule(
        self, admin_client: Client
    ) -> None:
        admin_client.post(f"{LIST}schedule/")
        why = "There is no project 7."
        run = IntegrityRun.objects.create(schedule="integrity.data_integrity_check", error=why)

        said = text_of(admin_client.get(LIST))
        assert said.count(f"Could not run {why}") == 2

        said = text_of(page(admin_client, run))
        assert why in said
        assert "Schedule: integrity.data_integrity_check" in said

    def test_schedule_of_no_day_is_told(self, admin_client: Client) -> None:
        never = CrontabSchedule.objects.create(minute="0", day_of_month="30", month_of_year="2")
        PeriodicTask.objects.create(name="Never", task=TASKS[0], crontab=never)
        assert "no next run; no run yet" in text_of(admin_client.get(LIST))


class TestRepair:
    def start(self, client: Client, **fields: Any) -> Any:
        return client.post(f"{LIST}repair/", {"checks": [KEY], "launch_key": "once", **fields})

    @pytest.fixture
    def world(self) -> World:
        return make_world()

    def test_page_tells_what_it_does_and_never_does(self, admin_client: Client) -> None:
        said = text_of(admin_client.get(f"{LIST}repair/"))
        assert "Deletes the occurrence." in said
        assert "Applies the determination rule to the occurrence." in said
        assert "A repair never changes or deletes identifications" in said
        assert "](" not in said
        assert not Job.objects.exists()

    def test_page_of_a_run_chooses_what_it_found(self, admin_client: Client) -> None:
        world = make_world()
        make_undetermined(1)
        run = run_checks(chosen_checks())
        link = link_of(page(admin_client, run), "Repair…")
        chosen = BeautifulSoup(admin_client.get(link).text, "html.parser")
        checked = {str(box["value"]) for box in chosen.select("input[name=checks][checked]")}
        assert KEY in checked
        assert "wrong_project" not in checked
        assert world.job.pk

    def test_repair_starts_once(self, admin_client: Client) -> None:
        response = self.start(admin_client)
        job = Job.objects.get()
        assert response.headers["Location"] == f"/admin/jobs/job/{job.pk}/change/"
        assert job.params == {"checks": [KEY], "job": None}
        assert job.user is not None

        again = self.start(admin_client)
        assert Job.objects.get() == job
        assert f"This page has already started Job {job.pk}" in told(again)[-1]

    def test_dry_run_is_a_choice(self, admin_client: Client) -> None:
        self.start(admin_client)
        self.start(admin_client, launch_key="another", dry_run="on")
        assert [job.dry_run for job in Job.objects.order_by("pk")] == [False, True]

    def test_key_that_no_page_has_made_is_taken(self, admin_client: Client) -> None:
        self.start(admin_client, launch_key="a\x00b" * 50)
        assert Job.objects.get().launch_key == ("ab" * 50)[:64]

    def test_scope_is_kept(self, admin_client: Client, world: World) -> None:
        self.start(admin_client, project=world.project.pk, job=world.job.pk)
        job = Job.objects.latest("pk")
        assert (job.project, job.params["job"]) == (world.project, world.job.pk)

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"checks": []}, "Choose at least one check."),
            ({"checks": ["x"]}, "x is not one of the available choices"),
            ({"checks": ["invalid_box"]}, "invalid_box is not one of the available choices"),
            ({"project": "9" * 30}, "not one of the available choices"),
            ({"project": "x"}, "not one of the available choices"),
            ({"project": "\x00"}, "Null characters are not allowed"),
            ({"job": "999999"}, "not one of the available choices"),
        ],
    )
    def test_bad_value_is_refused(
        self, admin_client: Client, fields: dict[str, Any], said: str
    ) -> None:
        response = self.start(admin_client, **fields)
        assert response.status_code == 200
        assert said in text_of(response)
        assert not Job.objects.exists()

    def test_job_of_another_project_is_refused(self, admin_client: Client, world: World) -> None:
        other = make_world()
        response = self.start(admin_client, project=other.project.pk, job=world.job.pk)
        assert "does not belong to the project" in text_of(response)

    @pytest.mark.parametrize("query", ["check=x", "project=x", "project=%00", f"job={'9' * 40}"])
    def test_odd_address_opens(self, admin_client: Client, query: str) -> None:
        assert admin_client.get(f"{LIST}repair/?{query}").status_code == 200

    def test_it_needs_the_permissions_to_add_jobs_and_to_see_them(
        self, client: Client, world: World
    ) -> None:
        assert self.start(sign_in(client, "view_integrityrun")).status_code == 403
        assert self.start(sign_in(client, "view_integrityrun", "add_job")).status_code == 403
        sign_in(client, project=world.project, role=Role.OPERATOR)
        assert "This field is required" in text_of(self.start(client))
        started = self.start(client, project=world.project.pk)
        assert client.get(started.headers["Location"]).status_code == 200

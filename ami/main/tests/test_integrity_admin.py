"""The history of the integrity checks in the admin: its list, its pages, and what is known."""

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError as BrokerError

from ami.base.tests.factories import make_project, make_user
from ami.jobs.models import Job, Pulse
from ami.jobs.tests.admin import sign_in, told
from ami.main.admin.integrity.results import sparkline
from ami.main.checks.declarations import CHECKS, chosen_checks
from ami.main.checks.runner import Scope, run_checks
from ami.main.checks.tests.faults.captures import corners_swapped
from ami.main.checks.tests.faults.counts import everything_counted_wrong
from ami.main.checks.tests.test_batches import make_undetermined, poison
from ami.main.checks.tests.world import World, make_world
from ami.main.models import IntegrityAcknowledgement, IntegrityResult, IntegrityRun

pytestmark = pytest.mark.django_db
LIST = "/admin/main/integrityrun/"
ADD = "/admin/main/integrityacknowledgement/add/"
KEY = "missing_determination"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The checks that are queued."""
    sent: list[Any] = []
    monkeypatch.setattr(
        "ami.main.admin.integrity.runs.data_integrity_check.delay",
        lambda *args, **kwargs: sent.append((args, kwargs)),
    )
    return sent


def page(client: Client, run: IntegrityRun) -> Any:
    return client.get(f"{LIST}{run.pk}/change/")


def text_of(response: Any) -> str:
    return " ".join(BeautifulSoup(response.text, "html.parser").get_text(" ").split())


def link_of(response: Any, text: str) -> str:
    link = BeautifulSoup(response.text, "html.parser").find("a", string=text)
    assert link is not None
    return str(link["href"])


def acknowledge(key: str = KEY, *, days: int = 1, **fields: Any) -> None:
    IntegrityAcknowledgement.objects.create(
        key=key,
        reason="Being looked into.",
        expires_on=timezone.localdate() + timedelta(days=days),
        **fields,
    )


class TestList:
    def test_runs_are_told_by_scope_and_outcome(self, operator: Client) -> None:
        world = make_world()
        corners_swapped(world)
        run_checks(chosen_checks(), scope=Scope(world.project.pk, world.job.pk))
        run_checks([CHECKS["taxon_loop"]], dry_run=False)

        said = text_of(operator.get(LIST))

        assert f"{world.project}" in said
        assert f"Job {world.job.pk} Found 1 error" in said
        assert "Repair Everything Clean" in said

    def test_run_that_was_cut_off_says_so(self, operator: Client) -> None:
        IntegrityRun.objects.create()
        assert "Running" in text_of(operator.get(LIST))
        IntegrityRun.objects.update(created_at=timezone.now() - timedelta(hours=2))
        assert "Cut off" in text_of(operator.get(LIST))

    def test_check_that_could_not_run_is_no_clean_run(self, operator: Client) -> None:
        run = run_checks([CHECKS["taxon_loop"]])
        run.results.update(error="It broke.")
        assert "1 could not run" in text_of(operator.get(LIST))

    def test_empty_history_offers_to_begin_one(self, operator: Client) -> None:
        said = text_of(operator.get(LIST))
        assert "No schedule" in said
        assert "Beat has not been heard of yet." in said
        assert "Check now" in said

    def test_beat_is_told_of(self, operator: Client) -> None:
        Pulse.record(Pulse.Name.TICK)
        assert "Beat was last heard of now." in text_of(operator.get(LIST))
        assert "Tick of beat" in text_of(operator.get("/admin/jobs/pulse/"))

    @pytest.mark.parametrize("path", [LIST, "/admin/main/integrityacknowledgement/"])
    def test_queries_do_not_grow_with_the_rows(self, operator: Client, path: str) -> None:
        def queries() -> int:
            world = make_world()
            run_checks(chosen_checks(), scope=Scope(world.project.pk), user=make_user())
            acknowledge(project=world.project, user=make_user())
            with CaptureQueriesContext(connection) as context:
                assert operator.get(path).status_code == 200
            return len(context)

        queries()
        assert queries() == queries()

    def test_who_may_not_see_it_does_not(self, client: Client) -> None:
        assert sign_in(client).get(LIST).status_code == 403
        assert sign_in(client).get(f"{LIST}repair/").status_code == 403
        for path in ("check/", "schedule/"):
            assert sign_in(client, "view_integrityrun").post(LIST + path).status_code == 403
        assert "Check now" not in sign_in(client, "view_integrityrun").get(LIST).text


class TestPage:
    def test_rows_at_fault_are_a_click_away(self, operator: Client) -> None:
        ids = make_undetermined(120)
        run = run_checks([CHECKS[KEY]])

        link = link_of(page(operator, run), "first 100 occurrences")
        listed = operator.get(link).context["cl"]
        assert listed.result_count == 100
        assert {row.pk for row in listed.queryset} == set(ids[:100])

    def test_every_table_has_its_link(self, operator: Client) -> None:
        everything_counted_wrong(make_world())
        run = run_checks([CHECKS["stale_counts"]])
        said = text_of(page(operator, run))
        assert "1 event 1 deployment 1 capture" in said

    @pytest.mark.parametrize("key", sorted(CHECKS))
    def test_links_of_every_check_open(self, operator: Client, key: str) -> None:
        for pair in CHECKS[key].pairs:
            label = pair.get(None, None).model._meta.label_lower
            run = IntegrityRun.objects.create(finished_at=timezone.now())
            IntegrityResult.objects.create(
                run=run, key=key, severity="error", remaining=2, samples={label: [1, 2]}
            )
            row = BeautifulSoup(page(operator, run).text, "html.parser")
            link = row.select_one(".integrity-results .text a")
            assert link is not None
            assert operator.get(str(link["href"])).status_code == 200

    def test_what_could_not_be_repaired_says_why(self, operator: Client) -> None:
        ids = make_undetermined(30)
        poison(*ids[:12])
        run = run_checks([CHECKS[KEY]], dry_run=False)

        said = text_of(page(operator, run))

        assert f"Row {ids[0]} is poisoned. Occurrence {ids[0]}" in said
        assert "and 2 more" in said

    def test_error_is_shown(self, operator: Client) -> None:
        run = run_checks([CHECKS["taxon_loop"]])
        run.results.update(error="DataError: <b>division</b> by zero")
        assert "DataError: <b>division</b> by zero" in text_of(page(operator, run))

    def test_check_that_is_declared_no_longer_is_shown_by_its_key(self, operator: Client) -> None:
        run = run_checks([CHECKS["taxon_loop"]])
        run.results.update(key="former_check")
        acknowledge("former_check")
        assert "former_check" in text_of(page(operator, run))
        assert "former_check" in operator.get("/admin/main/integrityacknowledgement/").text

    def test_trend_is_that_of_the_same_scope(self, operator: Client) -> None:
        run_checks([CHECKS[KEY]])
        run_checks([CHECKS[KEY]], scope=Scope(make_project().pk))
        make_undetermined(2)
        last = run_checks([CHECKS[KEY]])
        run_checks([CHECKS[KEY]])

        assert "Last 2 runs: 0, 2" in page(operator, last).text

    def test_queries_do_not_grow_with_checks_and_runs(self, operator: Client) -> None:
        def queries(*keys: str) -> int:
            run = run_checks(chosen_checks(keys=keys))
            with CaptureQueriesContext(connection) as context:
                assert page(operator, run).status_code == 200
            return len(context)

        few = queries("taxon_loop")
        make_undetermined(3)
        acknowledge()
        assert queries() == queries() == few

    @pytest.mark.parametrize("pk", ["0", "999999", "x", "9" * 40, "-1"])
    def test_odd_id_is_not_found(self, operator: Client, pk: str) -> None:
        assert operator.get(f"{LIST}{pk}/change/").status_code == 404


class TestAcknowledgement:
    def fields(self, **others: Any) -> dict[str, Any]:
        day = timezone.localdate() + timedelta(days=7)
        return {"key": KEY, "reason": "Known.", "expires_on": str(day), **others}

    def test_operator_acknowledges_from_the_page_of_a_run(self, operator: Client) -> None:
        make_undetermined(1)
        run = run_checks([CHECKS[KEY]])
        link = link_of(page(operator, run), "Acknowledge…")
        assert "selected>Occurrence without a determination" in operator.get(link).text

        assert operator.post(link, self.fields()).status_code == 302

        known = IntegrityAcknowledgement.objects.get()
        assert known.user is not None
        again = run_checks([CHECKS[KEY]])
        said = text_of(page(operator, again))
        assert f"1 occurrence Known until {known.expires_on}: Known." in said
        assert "Acknowledged 1" in said
        assert "Acknowledge…" not in said

    def test_one_that_has_expired_says_so(self, operator: Client) -> None:
        make_undetermined(1)
        acknowledge(days=-1)
        day = timezone.localdate() - timedelta(days=1)
        run = run_checks([CHECKS[KEY]])
        assert f"The acknowledgement expired on {day}" in text_of(page(operator, run))
        assert f"Expired on {day}" in operator.get("/admin/main/integrityacknowledgement/").text

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("expires_on", "2020-01-01", "Give a day that is not over"),
            ("expires_on", "soon", "Enter a valid date"),
            ("expires_on", "", "This field is required"),
            ("reason", "", "This field is required"),
            ("key", "x", "Select a valid choice"),
            ("project", "999999", "Select a valid choice"),
        ],
    )
    def test_bad_value_is_refused(
        self, operator: Client, field: str, value: str, said: str
    ) -> None:
        response = operator.post(ADD, self.fields(**{field: value}))
        assert said in response.text
        assert not IntegrityAcknowledgement.objects.exists()

    def test_expired_one_can_be_kept_as_it_is(self, operator: Client) -> None:
        acknowledge(days=-1)
        known = IntegrityAcknowledgement.objects.get()
        fields = self.fields(reason="Other words.", expires_on=str(known.expires_on))
        path = f"/admin/main/integrityacknowledgement/{known.pk}/change/"
        assert operator.post(path, fields).status_code == 302


class TestCheckNow:
    def test_check_is_queued_for_who_asked(self, operator: Client, messages: list[Any]) -> None:
        response = operator.post(f"{LIST}check/")
        assert response.headers["Location"] == LIST
        ((args, kwargs),) = messages
        assert args == (None, None)
        assert kwargs["user_id"]
        assert told(response) == [
            "A check is queued. It is in this list as soon as a worker has begun it."
        ]

    def test_check_again_keeps_the_scope(self, operator: Client, messages: list[Any]) -> None:
        operator.post(f"{LIST}check/", {"project": "3", "job": "4"})
        assert messages[0][0] == (3, 4)

    def test_visit_queues_nothing(self, operator: Client, messages: list[Any]) -> None:
        assert operator.get(f"{LIST}check/").status_code == 302
        assert not messages

    def test_broker_that_is_down_is_told(
        self, operator: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise BrokerError("Connection refused.")

        monkeypatch.setattr("ami.main.admin.integrity.runs.data_integrity_check.delay", refuse)
        (said,) = told(operator.post(f"{LIST}check/"))
        assert said == "The broker did not take the check: Connection refused. Try again."


class TestSchedule:
    def test_one_click_schedules_it_and_shows_the_runs(self, operator: Client) -> None:
        assert "Schedule it daily" in operator.get(LIST).text
        response = operator.post(f"{LIST}schedule/")
        assert told(response) == ["The checks run every day at 04:15 UTC from now on."]

        said = text_of(operator.get(LIST))
        assert "next run" in said
        assert "not run yet" in said
        assert "Schedule it daily" not in said
        PeriodicTask.objects.update(last_run_at=timezone.now())
        assert "last run" in text_of(operator.get(LIST))

    def test_second_click_changes_nothing(self, operator: Client) -> None:
        operator.post(f"{LIST}schedule/")
        PeriodicTask.objects.update(enabled=False, description="Mine.")
        operator.post(f"{LIST}schedule/")
        kept = PeriodicTask.objects.get(name="main.data_integrity_check")
        assert (kept.enabled, kept.description) == (False, "Mine.")
        assert "switched off" in text_of(operator.get(LIST))


class TestRepair:
    def start(self, client: Client, **fields: Any) -> Any:
        return client.post(f"{LIST}repair/", {"checks": [KEY], "launch_key": "once", **fields})

    @pytest.fixture
    def world(self) -> World:
        return make_world()

    def test_page_tells_what_it_does_and_never_does(self, operator: Client) -> None:
        said = text_of(operator.get(f"{LIST}repair/"))
        assert "Deletes the occurrence." in said
        assert "Applies the determination rule to the occurrence." in said
        assert "No identification is changed or deleted" in said
        assert "](" not in said
        assert not Job.objects.exists()

    def test_page_of_a_run_chooses_what_it_found(self, operator: Client) -> None:
        world = make_world()
        make_undetermined(1)
        run = run_checks(chosen_checks())
        link = link_of(page(operator, run), "Repair…")
        chosen = BeautifulSoup(operator.get(link).text, "html.parser")
        checked = {str(box["value"]) for box in chosen.select("input[name=checks][checked]")}
        assert KEY in checked
        assert "wrong_project" not in checked
        assert world.job.pk

    def test_repair_starts_once(self, operator: Client) -> None:
        response = self.start(operator)
        job = Job.objects.get()
        assert response.headers["Location"] == f"/admin/jobs/job/{job.pk}/change/"
        assert job.params == {"checks": [KEY], "job": None}
        assert job.user is not None

        again = self.start(operator)
        assert Job.objects.get() == job
        assert f"Job {job.pk} was started by this page already" in told(again)[-1]

    def test_scope_is_kept(self, operator: Client, world: World) -> None:
        self.start(operator, project=world.project.pk, job=world.job.pk)
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
        self, operator: Client, fields: dict[str, Any], said: str
    ) -> None:
        response = self.start(operator, **fields)
        assert response.status_code == 200
        assert said in text_of(response)
        assert not Job.objects.exists()

    def test_job_of_another_project_is_refused(self, operator: Client, world: World) -> None:
        other = make_world()
        response = self.start(operator, project=other.project.pk, job=world.job.pk)
        assert "does not belong to the project" in text_of(response)

    @pytest.mark.parametrize("query", ["check=x", "project=x", "project=%00", f"job={'9' * 40}"])
    def test_odd_address_opens(self, operator: Client, query: str) -> None:
        assert operator.get(f"{LIST}repair/?{query}").status_code == 200

    def test_it_needs_the_permission_to_add_jobs(self, client: Client) -> None:
        assert self.start(sign_in(client, "view_integrityrun")).status_code == 403
        sign_in(client, "view_integrityrun", "add_job")
        assert self.start(client).status_code == 302


def test_sparkline_of_one_run_is_none() -> None:
    assert sparkline([3]) == ""
    assert 'points="0.0,20.0 100.0,20.0"' in sparkline([0, 0])
    assert 'points="0.0,20.0 50.0,0.0 100.0,10.0"' in sparkline([0, 2000, 1000])
    assert "0, 2,000, 1,000" in sparkline([0, 2000, 1000])

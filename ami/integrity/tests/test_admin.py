"""The history of the integrity checks in the admin: list, pages and acknowledgements."""

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ami.base.tests.factories import make_project, make_user
from ami.integrity.admin.results import sparkline
from ami.integrity.finding import Scope
from ami.integrity.models import IntegrityAcknowledgement, IntegrityResult, IntegrityRun
from ami.integrity.runner import run_checks
from ami.integrity.tests.admin import KEY, LIST, link_of, page, text_of
from ami.jobs.models import Job, Pulse
from ami.jobs.states import JobState
from ami.jobs.tests.admin import sign_in
from ami.jobs.tests.job_types import make_job
from ami.main.checks.declarations import CHECKS, chosen_checks
from ami.main.checks.tests.faults.captures import corners_swapped
from ami.main.checks.tests.faults.counts import everything_counted_wrong
from ami.main.checks.tests.repairing import repair
from ami.main.checks.tests.test_batches import make_undetermined, poison
from ami.main.checks.tests.world import make_world

pytestmark = pytest.mark.django_db
ADD = "/admin/integrity/integrityacknowledgement/add/"


def acknowledge(key: str = KEY, *, days: int = 1, **fields: Any) -> None:
    IntegrityAcknowledgement.objects.create(
        key=key,
        reason="Being looked into.",
        expires_on=timezone.localdate() + timedelta(days=days),
        **fields,
    )


class TestList:
    def test_runs_are_told_by_scope_and_outcome(self, admin_client: Client) -> None:
        world = make_world()
        corners_swapped(world)
        run_checks(chosen_checks(), scope=Scope(world.project.pk, world.job.pk))
        repair([CHECKS["taxon_loop"]])

        said = text_of(admin_client.get(LIST))

        assert f"{world.project}" in said
        assert f"Job {world.job.pk} Found 1 error" in said
        assert "Repair Everything Clean" in said

    def test_run_that_was_cut_off_says_so(self, admin_client: Client) -> None:
        IntegrityRun.objects.create()
        assert "Running" in text_of(admin_client.get(LIST))
        IntegrityRun.objects.update(created_at=timezone.now() - timedelta(hours=2))
        assert "Interrupted" in text_of(admin_client.get(LIST))

    def test_repair_whose_job_has_ended_is_cut_off(self, admin_client: Client) -> None:
        job = make_job(status=JobState.STARTED)
        IntegrityRun.objects.create(dry_run=False, repair_job=job)
        assert "Running" in text_of(admin_client.get(LIST))
        Job.objects.update(status=JobState.REVOKED)
        assert "Interrupted" in text_of(admin_client.get(LIST))

    def test_check_that_could_not_run_is_no_clean_run(self, admin_client: Client) -> None:
        run = run_checks([CHECKS["taxon_loop"]])
        run.results.update(error="It broke.")
        assert "1 could not run" in text_of(admin_client.get(LIST))

    def test_empty_history_offers_to_begin_one(self, admin_client: Client) -> None:
        said = text_of(admin_client.get(LIST))
        assert "No schedule" in said
        assert "Beat has not reported yet." in said
        assert "Check now" in said

    def test_beat_is_told_of(self, admin_client: Client) -> None:
        Pulse.record(Pulse.Name.TICK)
        assert "Last report from beat: now." in text_of(admin_client.get(LIST))
        assert "Celery beat" in text_of(admin_client.get("/admin/jobs/pulse/"))

    @pytest.mark.parametrize("path", [LIST, "/admin/integrity/integrityacknowledgement/"])
    def test_queries_do_not_grow_with_the_rows(self, admin_client: Client, path: str) -> None:
        def queries() -> int:
            world = make_world()
            run_checks(chosen_checks(), scope=Scope(world.project.pk), user=make_user())
            acknowledge(project=world.project, user=make_user())
            with CaptureQueriesContext(connection) as context:
                assert admin_client.get(path).status_code == 200
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
    def test_rows_at_fault_are_a_click_away(self, admin_client: Client) -> None:
        ids = make_undetermined(120)
        run = run_checks([CHECKS[KEY]])

        link = link_of(page(admin_client, run), "first 100 occurrences")
        listed = admin_client.get(link).context["cl"]
        assert listed.result_count == 100
        assert {row.pk for row in listed.queryset} == set(ids[:100])

    def test_every_table_has_its_link(self, admin_client: Client) -> None:
        everything_counted_wrong(make_world())
        run = run_checks([CHECKS["stale_counts"]])
        said = text_of(page(admin_client, run))
        assert "1 night 1 deployment 1 capture" in said

    @pytest.mark.parametrize("key", sorted(CHECKS))
    def test_links_of_every_check_open(self, admin_client: Client, key: str) -> None:
        for pair in CHECKS[key].pairs:
            label = pair.get(None, None).model._meta.label_lower
            run = IntegrityRun.objects.create(finished_at=timezone.now())
            IntegrityResult.objects.create(
                run=run, key=key, severity="error", remaining=2, samples={label: [1, 2]}
            )
            row = BeautifulSoup(page(admin_client, run).text, "html.parser")
            link = row.select_one(".integrity-results .text a")
            assert link is not None
            assert admin_client.get(str(link["href"])).status_code == 200

    def test_what_could_not_be_repaired_says_why(self, admin_client: Client) -> None:
        ids = make_undetermined(30)
        poison(*ids[:12])
        run = repair([CHECKS[KEY]])

        said = text_of(page(admin_client, run))

        assert f"Row {ids[0]} is poisoned. Occurrence {ids[0]}" in said
        assert "and 2 more" in said

    def test_error_is_shown(self, admin_client: Client) -> None:
        run = run_checks([CHECKS["taxon_loop"]])
        run.results.update(error="DataError: <b>division</b> by zero")
        assert "DataError: <b>division</b> by zero" in text_of(page(admin_client, run))

    def test_check_that_is_declared_no_longer_is_shown_by_its_key(
        self, admin_client: Client
    ) -> None:
        run = run_checks([CHECKS["taxon_loop"]])
        run.results.update(key="former_check")
        acknowledge("former_check")
        assert "former_check" in text_of(page(admin_client, run))
        assert "former_check" in admin_client.get("/admin/integrity/integrityacknowledgement/").text

    def test_trend_is_that_of_the_same_scope(self, admin_client: Client) -> None:
        run_checks([CHECKS[KEY]])
        run_checks([CHECKS[KEY]], scope=Scope(make_project().pk))
        make_undetermined(2)
        last = run_checks([CHECKS[KEY]])
        run_checks([CHECKS[KEY]])

        assert "Last 2 runs: 0, 2" in page(admin_client, last).text

    def test_queries_do_not_grow_with_checks_and_runs(self, admin_client: Client) -> None:
        def queries(*keys: str) -> int:
            run = run_checks(chosen_checks(keys=keys))
            with CaptureQueriesContext(connection) as context:
                assert page(admin_client, run).status_code == 200
            return len(context)

        few = queries("taxon_loop")
        make_undetermined(3)
        acknowledge()
        assert queries() == queries() == few

    @pytest.mark.parametrize("pk", ["0", "999999", "x", "9" * 40, "-1"])
    def test_odd_id_is_not_found(self, admin_client: Client, pk: str) -> None:
        assert admin_client.get(f"{LIST}{pk}/change/").status_code == 404


class TestAcknowledgement:
    def fields(self, **others: Any) -> dict[str, Any]:
        day = timezone.localdate() + timedelta(days=7)
        return {"key": KEY, "reason": "Known.", "expires_on": str(day), **others}

    def test_operator_acknowledges_from_the_page_of_a_run(self, admin_client: Client) -> None:
        make_undetermined(1)
        run = run_checks([CHECKS[KEY]])
        link = link_of(page(admin_client, run), "Acknowledge…")
        assert "selected>Occurrence without a determination" in admin_client.get(link).text

        assert admin_client.post(link, self.fields()).status_code == 302

        known = IntegrityAcknowledgement.objects.get()
        assert known.user is not None
        again = run_checks([CHECKS[KEY]])
        said = text_of(page(admin_client, again))
        assert f"1 occurrence Known until {known.expires_on}: Known." in said
        assert "Acknowledged 1" in said
        assert "Acknowledge…" not in said

    def test_one_that_has_expired_says_so(self, admin_client: Client) -> None:
        make_undetermined(1)
        acknowledge(days=-1)
        day = timezone.localdate() - timedelta(days=1)
        run = run_checks([CHECKS[KEY]])
        assert f"The acknowledgement expired on {day}" in text_of(page(admin_client, run))
        IntegrityAcknowledgement.objects.update(reason="Long. " * 1_000)
        assert "Long. " * 60 not in text_of(page(admin_client, run))
        assert (
            f"Expired on {day}"
            in admin_client.get("/admin/integrity/integrityacknowledgement/").text
        )

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("expires_on", "2020-01-01", "Enter a date that is not in the past"),
            ("expires_on", "soon", "Enter a valid date"),
            ("expires_on", "", "This field is required"),
            ("reason", "", "This field is required"),
            ("key", "x", "Select a valid choice"),
            ("project", "999999", "Select a valid choice"),
        ],
    )
    def test_bad_value_is_refused(
        self, admin_client: Client, field: str, value: str, said: str
    ) -> None:
        response = admin_client.post(ADD, self.fields(**{field: value}))
        assert said in response.text
        assert not IntegrityAcknowledgement.objects.exists()

    def test_expired_one_can_be_kept_as_it_is(self, admin_client: Client) -> None:
        acknowledge(days=-1)
        known = IntegrityAcknowledgement.objects.get()
        fields = self.fields(reason="Other words.", expires_on=str(known.expires_on))
        path = f"/admin/integrity/integrityacknowledgement/{known.pk}/change/"
        assert admin_client.post(path, fields).status_code == 302


def test_sparkline_of_one_run_is_none() -> None:
    assert sparkline([3]) == ""
    assert 'points="0.0,20.0 100.0,20.0"' in sparkline([0, 0])
    assert 'points="0.0,20.0 50.0,0.0 100.0,10.0"' in sparkline([0, 2000, 1000])
    assert "0, 2,000, 1,000" in sparkline([0, 2000, 1000])

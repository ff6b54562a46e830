"""Exports and shifts of clocks run again: on the page, from the list, and by the command."""

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from ami.base.tests.factories import make_capture_set, make_member
from ami.base.tests.snapshots import snapshot
from ami.exchange import work
from ami.exchange.clock import parse_shift, plan_shift, queue_shift
from ami.exchange.export.registry import FORMATS, ExportOptions
from ami.exchange.export.scope import Scope
from ami.exchange.models import Export
from ami.exchange.tests.export_world import World
from ami.jobs.models import Job, JobPart
from ami.jobs.states import JobState
from ami.jobs.tests.admin import LIST, page_of
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Deployment, Event, SourceImage, SourceImageCollection

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def exported(scope: Scope) -> Job:
    options = ExportOptions(media_url="https://images.example.org/")
    return run_to_end(work.queue_exports(FORMATS["camtrap_dp"], options, [("all", scope)])[0])


def shifted(world: World, by: str = "+1:00") -> Job:
    deployment = SourceImage.objects.earliest("pk").deployment
    assert deployment
    return run_to_end(queue_shift(plan_shift(deployment, parse_shift(by))))


def scopes(world: World) -> list[Scope]:
    chosen = make_capture_set(world.captures)
    return [
        Scope(world.project.pk),
        Scope(world.project.pk, collection_id=chosen.pk),
        Scope(world.project.pk, event_id=world.night.pk),
        Scope(world.project.pk, occurrence_ids=frozenset({world.second.pk})),
    ]


def sign_in(world: World, client: Client, role: Role) -> None:
    client.force_login(make_member(world.project, role))


def select(client: Client, *jobs: Job) -> Any:
    ids = [job.pk for job in jobs]
    return client.post(LIST, {"action": "run_jobs_again", "_selected_action": ids}, follow=True)


class TestExport:
    @pytest.mark.parametrize("from_list", [False, True])
    def test_page_is_filled_in_and_queues_a_new_job(
        self, world: World, client: Client, from_list: bool
    ) -> None:
        sign_in(world, client, Role.OPERATOR)
        for scope in scopes(world):
            job = exported(scope)
            assert "Run again…" in client.get(page_of(job)).text
            before = snapshot(Job, JobPart, Export)
            page = select(client, job) if from_list else client.get(page_of(job, "run-again/"))
            assert page.status_code == 200
            assert snapshot(Job, JobPart, Export) == before
            assert 'value="https://images.example.org/"' in page.text
            assert page.context["adminform"].form["form"].value() == "camtrap_dp"
            assert f'action="{page_of(job, "run-again/")}"' in page.text
            sent = {"again": job.pk, "launch_key": page.context["key"], "_export": 1}
            sent |= {"form": "csv", "media_url": ""}
            for told in ("Queued", "submitted before"):
                done = client.post(page_of(job, "run-again/"), sent, follow=True)
                assert told in done.text
            again = run_to_end(Job.objects.latest("pk"))
            assert again.status == JobState.SUCCESS
            assert again.params == {**job.params, "format": "csv", "options": {"media_url": ""}}
            ids = Export.objects.get(job=again).occurrence_ids
            assert ids == (None if scope.occurrence_ids is None else [world.second.pk])
            assert f"Run again as Job {again.pk}." in client.get(page_of(job, "history/")).text

    def test_bad_options_are_told_on_the_page(self, world: World, client: Client) -> None:
        sign_in(world, client, Role.OPERATOR)
        job = exported(world.scope)
        sent = {"form": "csv", "media_url": "x", "_export": 1}
        told = "must be an address that begins with http:// or https://"
        assert told in client.post(page_of(job, "run-again/"), sent).text
        assert Job.objects.latest("pk") == job

    def test_command_queues_the_same_again(self, world: World) -> None:
        for scope in scopes(world):
            job = exported(scope)
            call_command("job", "run-again", job.pk)
            again = run_to_end(Job.objects.latest("pk"))
            assert (again.params, again.status) == (job.params, JobState.SUCCESS)

    @pytest.mark.parametrize(
        ("gone", "told"),
        [
            (SourceImageCollection, "no longer exists."),
            (Export, "Select the occurrences again."),
        ],
    )
    def test_what_is_gone_is_told(
        self, world: World, client: Client, gone: type[Any], told: str
    ) -> None:
        sign_in(world, client, Role.OPERATOR)
        jobs = [exported(scope) for scope in scopes(world)]
        job = jobs[1 if gone is SourceImageCollection else 3]
        gone.objects.all().delete()
        assert told in client.get(page_of(job, "run-again/"), follow=True).text
        with pytest.raises(SystemExit):
            call_command("job", "run-again", job.pk)
        assert Job.objects.latest("pk") == jobs[-1]

    def test_several_at_once_and_viewers_are_refused(self, world: World, client: Client) -> None:
        job, other = exported(world.scope), exported(world.scope)
        sign_in(world, client, Role.OPERATOR)
        assert "Run exports again one at a time." in select(client, job, other).text
        sign_in(world, client, Role.VIEWER)
        assert "Run again…" not in client.get(page_of(job)).text
        assert client.get(page_of(job, "run-again/")).status_code == 403


class TestShift:
    @pytest.mark.parametrize("from_list", [False, True])
    def test_page_is_filled_in_and_queues_a_new_job(
        self, world: World, client: Client, from_list: bool
    ) -> None:
        sign_in(world, client, Role.MANAGER)
        job = shifted(world)
        before = snapshot(Job, JobPart, SourceImage, Event)
        page = select(client, job) if from_list else client.get(page_of(job, "run-again/"))
        assert 'value="+1:00"' in page.text
        assert "are shifted by +1:00." in page.text
        address = page_of(job, "run-again/")
        plan = client.post(address, {"by": "-2:00", "_plan": 1})
        assert "are shifted by -2:00." in plan.text
        assert "is not a shift" in client.post(address, {"by": "x", "_shift": 1}).text
        assert snapshot(Job, JobPart, SourceImage, Event) == before
        sent = {"by": "-1:00", "_shift": 1, "launch_key": page.context["key"], "again": job.pk}
        for told in ("Started <a", "submitted before"):
            done = client.post(address, sent | {"reason": "Twice."}, follow=True)
            assert told in done.text
        again = run_to_end(Job.objects.latest("pk"))
        assert again.params == {**job.params, "by": "-1:00"}
        assert again.status == JobState.SUCCESS
        history = client.get(page_of(job, "history/")).text
        assert f"Run again as Job {again.pk}." in history
        assert "Twice." in client.get(page_of(again, "history/")).text

    def test_command_shifts_again(self, world: World) -> None:
        job = shifted(world)
        call_command("job", "run-again", job.pk)
        again = run_to_end(Job.objects.latest("pk"))
        assert (again.params, again.status) == (job.params, JobState.SUCCESS)

    def test_operator_may_not(self, world: World, client: Client) -> None:
        job = shifted(world)
        sign_in(world, client, Role.OPERATOR)
        assert "Run again…" not in client.get(page_of(job)).text
        assert client.get(page_of(job, "run-again/")).status_code == 403
        person = make_member(world.project, Role.OPERATOR)
        with pytest.raises(SystemExit):
            call_command("job", "run-again", job.pk, person=person.email)
        assert Job.objects.latest("pk") == job

    def test_what_is_gone_is_told(self, world: World, client: Client) -> None:
        job = shifted(world)
        sign_in(world, client, Role.MANAGER)
        SourceImage.objects.all().delete()
        told = "has no capture with a time."
        assert told in client.get(page_of(job, "run-again/")).text
        Deployment.objects.all().delete()
        again = client.get(page_of(job, "run-again/"), follow=True).text
        assert "no longer exists." in again
        with pytest.raises(SystemExit):
            call_command("job", "run-again", job.pk)
        assert Job.objects.latest("pk") == job

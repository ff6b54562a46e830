"""Exports as Jobs: the action, the run, the file, and its end."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.storage import default_storage
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from ami.base.tests.factories import make_capture_set, make_member, make_user
from ami.exchange import work
from ami.exchange.admin import actions
from ami.exchange.export.problems import Problems
from ami.exchange.export.registry import FORMATS, ExportOptions
from ami.exchange.export.scope import Scope
from ami.exchange.export.source import Source
from ami.exchange.models import Export
from ami.exchange.tasks import delete_expired_exports
from ami.exchange.tests.export_world import World, empty_project
from ami.jobs.engine import runner
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import Killed, run_to_end
from ami.jobs.tests.rows import silence
from ami.main.access import Role
from ami.main.models import Event, Occurrence, Project, SourceImageCollection

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def ended(job: Job) -> Any:
    """The Job at its end; its export is an attribute that mypy does not know."""
    return run_to_end(job)


def queue(scope: Scope, **options: Any) -> Any:
    return work.queue_exports(FORMATS["csv"], ExportOptions(**options), [("all", scope)])[0]


def lines(export: Export) -> list[str]:
    with default_storage.open(export.path) as file:
        text: str = file.read().decode("utf-8-sig")
        return text.splitlines()


def test_job_writes_a_file_under_a_path_that_cannot_be_guessed(world: World) -> None:
    job = ended(queue(world.scope))
    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.SUCCEEDED)
    export = job.export
    folder, token, name = export.path.split("/")
    assert (folder, len(token)) == ("exports", 32)
    assert name == f"vermont-csv-{timezone.now():%Y-%m-%d}.csv"
    assert export.size == default_storage.size(export.path)
    assert len(lines(export)) == 3
    assert job.progress.stages[0].figures == [("Rows read", 2)]
    assert str(export) == name


def test_empty_scope_is_nothing_to_do() -> None:
    job = ended(queue(Scope(empty_project().pk)))
    assert (job.outcome, job.error) == (
        Outcome.NOTHING,
        "The scope has no captures and no occurrences.",
    )


@pytest.mark.parametrize(
    "params", [{}, {"format": "none", "options": {}}, {"format": "csv", "options": {"x": 1}}]
)
def test_odd_parameters_fail_with_a_sentence(world: World, params: dict[str, Any]) -> None:
    job = queue(world.scope)
    Job.objects.filter(pk=job.pk).update(params=params)
    job = ended(job)
    assert job.outcome == Outcome.FAILED
    assert job.error


def test_export_that_is_canceled_leaves_no_file_and_can_be_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue(world.scope)

    def cancel(source: Source, target: Any) -> None:
        Job.objects.get(pk=job.pk).cancel()
        list(source.occurrences())

    with monkeypatch.context() as patch:
        patch.setattr(work, "PROGRESS_SECONDS", 0)
        patch.setitem(FORMATS._entries, "csv", with_write(cancel))
        job = ended(job)
    assert (job.outcome, job.export.size) == (Outcome.CANCELED, None)
    assert not default_storage.exists(job.export.path)
    assert job.can_resume
    job.resume()
    assert ended(job).export.size


def with_write(write: Any) -> Any:
    form = FORMATS["csv"]
    return type(form)(**{**vars(form), "write": write})


def test_export_starts_anew_after_a_lost_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue(world.scope)

    def killed(*args: Any, **kwargs: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Export, "save", killed)  # the file is stored, and its row is not
        with pytest.raises(Killed):
            runner.run(job.pk, task_id=job.task_id)
    part = job.parts.get()
    silence(part)
    runner.run_part(part.pk, task_id=part.task_id, only_silent=True)
    job.refresh_from_db()
    assert job.outcome == Outcome.SUCCEEDED
    assert default_storage.listdir(job.export.path.rpartition("/")[0])[1] == [str(job.export)]


def test_problems_are_on_the_page_and_in_a_file(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(source: Source, target: Any) -> None:
        problems: Problems = source.problems
        problems.add("A capture without a size is left out", "capture", [7, 8])
        target.write(b"nothing")

    monkeypatch.setitem(FORMATS._entries, "csv", with_write(write))
    job = ended(queue(world.scope))
    client.force_login(make_user(is_staff=True, is_superuser=True))
    page = client.get(reverse("admin:jobs_job_change", args=[job.pk])).text
    assert "A capture without a size is left out: 2 captures (7, 8)." in page
    response: Any = client.get(reverse("admin:exchange_export_problems", args=[job.export.pk]))
    assert b"".join(response.streaming_content).decode().splitlines()[1:] == [
        "A capture without a size is left out,capture,7",
        "A capture without a size is left out,capture,8",
    ]


def address(export: Export) -> str:
    return reverse("admin:exchange_export_file", args=[export.pk])


def test_members_download_until_it_expires_and_others_do_not(world: World, client: Client) -> None:
    export = ended(queue(world.scope)).export
    client.force_login(make_user(is_staff=True))
    assert client.get(address(export)).status_code == 404
    client.force_login(make_member(world.project, Role.VIEWER))
    response: Any = client.get(address(export))
    assert response["Content-Disposition"] == f'attachment; filename="{export}"'
    assert len(b"".join(response.streaming_content)) == export.size
    page = client.get(reverse("admin:jobs_job_change", args=[export.job_id])).text
    assert address(export) in page
    Export.objects.update(expires_at=timezone.now())
    assert client.get(address(export)).status_code == 404
    assert (
        address(export)
        not in client.get(reverse("admin:jobs_job_change", args=[export.job_id])).text
    )


def test_proxy_sends_the_file(world: World, client: Client) -> None:
    export = ended(queue(world.scope)).export
    client.force_login(make_member(world.project))
    with override_settings(X_ACCEL_REDIRECT="/media/"):
        response = client.get(address(export))
    assert response["X-Accel-Redirect"] == f"/media/{export.path}"
    assert response["Content-Disposition"].startswith("attachment")


def test_expired_exports_are_deleted_with_their_files(
    world: World, django_capture_on_commit_callbacks: Any
) -> None:
    old, fresh = (ended(queue(world.scope)).export for _ in range(2))
    Export.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=1))
    with django_capture_on_commit_callbacks(execute=True):
        assert delete_expired_exports() == 1
    assert not default_storage.exists(old.path)
    assert default_storage.exists(fresh.path)
    assert list(Export.objects.all()) == [fresh]


def test_file_goes_with_its_job(world: World, django_capture_on_commit_callbacks: Any) -> None:
    export = ended(queue(world.scope)).export
    with django_capture_on_commit_callbacks(execute=True):
        export.job.delete()
    assert not default_storage.exists(export.path)


def start(client: Client, model: Any, ids: list[int], query: str = "", **data: Any) -> Any:
    url = reverse(f"admin:main_{model._meta.model_name}_changelist")
    chosen = {"action": "export_rows", "_selected_action": ids, "index": 0, "select_across": 0}
    return client.post(f"{url}{query}", chosen | data, follow=True)


@pytest.fixture
def operator(world: World, client: Client) -> Client:
    client.force_login(make_member(world.project, Role.OPERATOR))
    return client


def test_action_asks_and_then_queues(world: World, operator: Client) -> None:
    chosen = make_capture_set(world.captures)
    for model, row in (
        (Project, world.project),
        (SourceImageCollection, chosen),
        (Event, world.night),
        (Occurrence, world.first),
    ):
        page = start(operator, model, [row.pk])
        assert 'name="form" value="csv"' in page.text
        key = page.context["key"]
        for told in ("Queued", "submitted before"):
            done = start(
                operator, model, [row.pk], form="csv", media_url="", _export=1, launch_key=key
            )
            assert told in done.text
        job = ended(Job.objects.latest("pk"))
        assert job.outcome == Outcome.SUCCEEDED
        assert len(lines(job.export)) == (2 if model is Occurrence else 3)
        page = operator.get(reverse("admin:jobs_job_change", args=[job.pk]))
        assert "CSV for spreadsheets" in page.text
    assert Job.objects.filter(job_type_key="export").count() == 4
    entry = LogEntry.objects.latest("pk")
    assert (entry.note.kind, entry.note.project) == ("export", world.project)


def test_action_takes_the_filtered_list(world: World, operator: Client) -> None:
    query = f"?determination__id__exact={world.machine.pk}"
    data = {"select_across": 1, "form": "csv", "_export": 1, "media_url": ""}
    start(operator, Occurrence, [world.second.pk], query, **data)
    export = Export.objects.get()
    assert export.occurrence_ids == [world.second.pk]


def test_action_refuses_with_a_sentence(
    world: World, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MOST_OCCURRENCES", 1)
    monkeypatch.setattr(actions, "MOST_FILES", 0)
    both = [world.first.pk, world.second.pk]
    assert "More than 1 occurrences are selected." in start(operator, Occurrence, both).text
    assert "More than 0 nights are selected." in start(operator, Event, [world.night.pk]).text
    page = start(operator, Occurrence, both[:1], form="csv", media_url="x", _export=1)
    assert "must be an address that begins with http:// or https://" in page.text
    page = start(operator, Occurrence, both[:1], form="none", _export=1)
    assert "Select a valid choice" in page.text
    assert not Export.objects.exists()


def test_viewer_is_not_offered_the_action(world: World, client: Client) -> None:
    client.force_login(make_member(world.project, Role.VIEWER))
    url = reverse("admin:main_occurrence_changelist")
    assert "export_rows" not in client.get(url).text
    start(client, Occurrence, [world.first.pk], form="csv", _export=1)
    assert not Export.objects.exists()


def test_list_of_exports(world: World, operator: Client) -> None:
    export = ended(queue(world.scope)).export
    for found in ("", "vermont-csv", str(export.pk)):
        listed = operator.get(reverse("admin:exchange_export_changelist"), {"q": found}).text
        assert address(export) in listed
        assert "Search by id or name of the file." in listed
        assert "CSV for spreadsheets</a>" in listed  # of the filter
    page = operator.get(reverse("admin:exchange_export_change", args=[export.pk])).text
    assert "CSV for spreadsheets" in page


@pytest.mark.django_db(transaction=True)
def test_worker_exports_what_was_there_when_it_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export reads on a connection of its own, in one snapshot."""
    monkeypatch.setattr("ami.exchange.export.source.BATCH", 1)
    taken: list[int] = []
    of_source = Source.occurrences

    def occurrences(source: Source) -> Any:
        for one in of_source(source):
            taken.append(one.id)
            Occurrence.objects.filter(pk__gt=one.id).delete()
            yield one

    monkeypatch.setattr(Source, "occurrences", occurrences)
    job = ended(queue(world.scope))
    assert job.outcome == Outcome.SUCCEEDED
    assert taken == [world.first.pk, world.second.pk]
    assert Path(default_storage.path(job.export.path)).exists()

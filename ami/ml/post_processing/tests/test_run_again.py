"""Running a Job again creates a new Job with its options: from its page, the list, a command."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from ami.base.tests.commands import Ended, run_command
from ami.base.tests.snapshots import snapshot
from ami.integrity.finding import Scope
from ami.integrity.service import new_repair
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobChange, JobLog, JobPart, JobState
from ami.jobs.tests.admin import LIST, page_of, sign_in, told
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.main.checks.declarations import chosen_checks
from ami.main.models import Event, SourceImageCollection
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.clicks import SETS
from ami.ml.post_processing.tests.every import make_rows_for
from ami.ml.post_processing.tests.methods import make_scope
from ami.ml.post_processing.tracking import TrackingTask
from ami.users.models import User

pytestmark = pytest.mark.django_db


def ended(capture_set: SourceImageCollection, threshold: float = 0.25, **launched: Any) -> Job:
    config = {"source_image_collection_id": capture_set.pk, "size_threshold": threshold}
    row = LaunchRow("The filter", capture_set.project, config)
    return run_to_end(launch(SmallSizeFilterTask, [row], **launched)[0])


def record() -> dict[str, list[Any]]:
    return snapshot(Job, JobPart, JobChange, JobLog)


def fields_of(page: str) -> dict[str, Any]:
    """The data that a browser submits for the form as it was filled in."""
    sent: dict[str, Any] = {}
    for tag in re.findall(r"<input [^>]*>", page):
        values = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        kind, unticked = values.get("type"), "on" if " checked" in tag else None
        value = values.get("value", unticked if kind == "checkbox" else "")
        if "name" in values and kind != "submit" and value is not None:
            sent.setdefault(values["name"], []).append(value)
    return {name: found for name, found in sent.items() if name != "csrfmiddlewaretoken"}


def select(client: Client, *jobs: Job) -> Any:
    ids = [job.pk for job in jobs]
    return client.post(LIST, {"action": "run_jobs_again", "_selected_action": ids, "index": 0})


@pytest.mark.parametrize("from_list", [False, True])
@pytest.mark.parametrize("dry_run", [False, True])
def test_page_is_filled_in_and_launches_a_new_job(
    admin_client: Client, capture_set: SourceImageCollection, from_list: bool, dry_run: bool
) -> None:
    job = ended(capture_set, dry_run=dry_run)
    before = record()
    assert f'href="{page_of(job, "run-again/")}"' in admin_client.get(page_of(job)).text
    page = select(admin_client, job) if from_list else admin_client.get(page_of(job, "run-again/"))
    assert page.status_code == 200
    assert record() == before
    assert 'name="size_threshold" value="0.25"' in page.text
    assert f'action="{SETS}"' in page.text
    assert f'<a href="{page_of(job)}" class="closelink">' in page.text
    sent = fields_of(page.text)
    assert sent["_selected_action"] == [str(capture_set.pk)]

    response = admin_client.post(SETS, sent)
    again = Job.objects.latest("pk")
    assert f"Job {again.pk}" in told(response)[0]
    assert (again.params, again.dry_run) == (job.params, dry_run)
    run_to_end(again)
    after = record()
    assert [row for row in after["Job"] if row["id"] == job.pk] == before["Job"]
    for name in ("JobPart", "JobChange"):
        assert [row for row in after[name] if row["job_id"] == job.pk] == before[name]


def test_several_jobs_with_the_same_options_share_a_page(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    other = make_scope(1)
    jobs = [ended(capture_set), ended(other)]
    sent = fields_of(select(admin_client, *jobs).text)
    assert sent["_selected_action"] == [str(capture_set.pk), str(other.pk)]
    admin_client.post(SETS, sent)
    assert Job.objects.count() == 4


def test_what_cannot_be_asked_for_on_one_page_is_refused_with_a_sentence(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    job, finer = ended(capture_set), ended(capture_set, 0.125)
    unfinished, unknown = make_job(status=JobState.STARTED), make_job(status=JobState.SUCCESS)
    gone = ended(doomed := make_scope(1))
    doomed.delete()
    before = record()
    for jobs, sentence in [
        ([job, finer], f"Jobs {job.pk} and {finer.pk} differ in method, options or type of rows"),
        ([unfinished], f"Job {unfinished.pk} has not ended; run it again after its end."),
        ([unknown], f"Job {unknown.pk} has the type 'test_type', which cannot be run again."),
        ([gone], f"Job {gone.pk} cannot be run again: "),
    ]:
        assert told(select(admin_client, *jobs))[-1].startswith(sentence)
    assert record() == before


def test_who_may_launch_nothing_runs_nothing_again(
    client: Client, capture_set: SourceImageCollection
) -> None:
    job = ended(capture_set)
    sign_in(client, "change_job", project=job.project)
    assert "run-again" not in client.get(page_of(job)).text
    assert client.get(page_of(job, "run-again/")).status_code == 403
    sign_in(client, "add_job", project=job.project)
    assert client.get(page_of(job, "run-again/")).status_code == 403  # nor may run the method


def test_repair_opens_its_own_page(admin_client: Client) -> None:
    checks = chosen_checks(keys=["stale_score", "stale_counts"])
    repair = new_repair(checks, scope=Scope(None, None))
    repair.status = JobState.SUCCESS
    repair.save()
    response = admin_client.get(page_of(repair, "run-again/"))
    assert response["Location"] == (
        "/admin/integrity/integrityrun/repair/?check=stale_score&check=stale_counts"
    )
    page = admin_client.get(response["Location"]).text
    assert len(re.findall(r'name="checks"[^>]* checked', page)) == 2


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LOGNAME", "ann")
    return lambda *arguments: run_command("ami.jobs", "job", *arguments, capsys=capsys)


@pytest.mark.parametrize("name", ["run-again", "retry"])
def test_command_line_makes_a_new_job(
    shell: Callable[..., Ended], capture_set: SourceImageCollection, name: str, admin_user: User
) -> None:
    job = ended(capture_set, user=admin_user)
    before = record()
    ended_with = shell(name, job.pk)
    again = Job.objects.latest("pk")
    assert ended_with == Ended(0, f"Job {again.pk} runs Job {job.pk} again.\n", "")
    assert (again.params, again.name, again.project) == (job.params, job.name, job.project)
    assert (again.status, again.user) == (JobState.PENDING, None)
    assert again.logs.get().message == f"Job {job.pk} run again by ann at the command line."
    after = record()
    assert [row for row in after["Job"] if row["id"] == job.pk] == before["Job"]
    assert after["JobChange"] == before["JobChange"]


def test_command_line_refuses_with_a_sentence(
    shell: Callable[..., Ended], capture_set: SourceImageCollection
) -> None:
    job = ended(capture_set)
    reverting = run_to_end(request_revert(job))
    capture_set.delete()
    before = record()
    assert shell("run-again", reverting.pk) == Ended(
        1, "", f"Job {reverting.pk} has the type 'revert', which cannot be run again.\n"
    )
    assert shell("run-again", job.pk).err.endswith("no longer exists.\n")
    assert record() == before


@pytest.mark.django_db(transaction=True)
def test_job_on_several_nights_is_one_job_again(admin_client: Client) -> None:
    make_rows_for("tracking")
    events = Event.objects.filter(project__isnull=False)
    config = {"event_ids": list(events.order_by("pk").values_list("pk", flat=True))}
    row = LaunchRow("Nights", None, config | {"cost_threshold": 0.5})
    job = run_to_end(launch(TrackingTask, [row])[0])
    sent = fields_of(admin_client.get(page_of(job, "run-again/")).text)
    assert sent["cost_threshold"] == ["0.5"]
    admin_client.post("/admin/main/event/", sent)
    again = Job.objects.exclude(pk=job.pk).get()
    assert again.params["config"]["event_ids"] == config["event_ids"]

"""What Jobs, checks and repairs leave in the audit, and where it is shown."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ami.base.audit import NOBODY
from ami.base.tests.commands import run_command
from ami.base.tests.factories import make_classification, make_user
from ami.integrity.models import IntegrityAcknowledgement
from ami.integrity.runner import run_checks
from ami.integrity.schedule import check_integrity
from ami.jobs.models import Job
from ami.jobs.service import run_again
from ami.jobs.tests.admin import page_of
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.main.checks.declarations import CHECKS
from ami.main.models import AuditNote, Detection, SourceImageCollection
from ami.ml.post_processing.tests.clicks import confirm
from ami.ml.post_processing.tests.methods import make_scope
from ami.users.models import User

pytestmark = pytest.mark.django_db

KEY = "missing_determination"


@pytest.fixture
def capture_set() -> SourceImageCollection:
    capture_set = make_scope(2)
    Detection.objects.update(bbox=[1, 1, 3, 3])
    for detection in Detection.objects.all():
        make_classification(detection=detection)
    return capture_set


def audit(row: Any) -> list[tuple[str, str, str, str]]:
    """The kind, the person, the message and the reason of each entry about a row."""
    notes = AuditNote.objects.filter(
        entry__object_id=str(row.pk), entry__content_type__model=row._meta.model_name
    )
    return [
        (note.kind, note.entry.user.email, note.entry.get_change_message(), note.reason)
        for note in notes.order_by("pk")
    ]


def launched(client: Client, capture_set: SourceImageCollection, **options: Any) -> Job:
    confirm(client, [capture_set.pk], size_threshold="0.5", **options)
    return run_to_end(Job.objects.latest("pk"))


def test_a_run_and_its_revert(
    admin_client: Client, admin_user: User, capture_set: SourceImageCollection
) -> None:
    job = launched(admin_client, capture_set)
    assert 'name="reason"' in admin_client.get(page_of(job, "revert/")).text
    admin_client.post(page_of(job, "revert/"), {"reason": "Wrong <threshold>."})
    revert = run_to_end(Job.objects.get(reverts=job))

    who, why = admin_user.email, "Wrong <threshold>."
    assert audit(job) == [
        ("start", who, "Started.", ""),
        ("revert", who, f"Reverted by Job {revert.pk}.", why),
    ]
    assert audit(revert) == [("start", who, "Started.", why)]
    for page in (page_of(job), page_of(revert), page_of(job, "history/")):
        assert "Wrong &lt;threshold&gt;." in admin_client.get(page).text
    assert AuditNote.objects.filter(project=capture_set.project).count() == 3


def test_a_dry_run_and_what_applies_it(
    admin_client: Client, admin_user: User, capture_set: SourceImageCollection
) -> None:
    dry = launched(admin_client, capture_set, _dry_run="on")
    admin_client.post(page_of(dry, "again/"))
    applying = Job.objects.get(applies=dry)
    assert audit(dry) == [
        ("dry_run", admin_user.email, "Started as a dry run.", ""),
        ("apply", admin_user.email, f"Applied by Job {applying.pk}.", ""),
    ]
    run_to_end(applying)
    again = run_again(applying, user=admin_user)
    told = ("run_again", admin_user.email, f"Run again as Job {again.pk}.", "")
    assert audit(applying)[-1] == told


def test_run_again_is_recorded_from_the_page(
    admin_client: Client, admin_user: User, capture_set: SourceImageCollection
) -> None:
    job = launched(admin_client, capture_set)
    page = BeautifulSoup(admin_client.get(page_of(job, "run-again/")).text, "html.parser")
    form: Any = page.find("form", action=True, attrs={"novalidate": True})
    fields = {
        field["name"]: field.get("value", "on")
        for field in form.find_all("input", attrs={"name": True})
        if field["type"] not in {"submit", "checkbox"}
    }
    # The page with an error keeps the Job.
    refused = admin_client.post(form["action"], {**fields, "size_threshold": "7"}).text
    assert f'name="again" value="{job.pk}"' in refused
    admin_client.post(form["action"], {**fields, "size_threshold": "0.4"})
    again = Job.objects.latest("pk")
    assert again != job
    told = ("run_again", admin_user.email, f"Run again as Job {again.pk}.", "")
    assert audit(job)[-1] == told


@pytest.mark.parametrize("odd", ["x", "\x00", f"{2**62},,-2", "9" * 30])
def test_an_odd_former_job_is_ignored(
    admin_client: Client, admin_user: User, capture_set: SourceImageCollection, odd: str
) -> None:
    job = launched(admin_client, capture_set, again=odd)
    assert audit(job) == [("start", admin_user.email, "Started.", "")]


def test_a_refused_start_records_nothing(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    confirm(admin_client, [capture_set.pk], size_threshold="7")
    assert not AuditNote.objects.exists()


def test_many_jobs_are_canceled_in_one_record(admin_client: Client, admin_user: User) -> None:
    jobs = [make_job() for _ in range(3)]
    asked = {"action": "cancel_jobs", "_selected_action": [job.pk for job in jobs]}
    admin_client.post(reverse("admin:jobs_job_changelist"), asked)
    for job in jobs:
        assert audit(job) == [("cancel", admin_user.email, "Canceled.", "")]


def test_a_command_records_who_typed_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    job = make_job()
    run_command("ami.jobs", "job", "cancel", job.pk, capsys=capsys)
    assert audit(job) == [("cancel", NOBODY, "Canceled by ann at the command line.", "")]


def test_a_repair_has_a_reason(admin_client: Client, admin_user: User) -> None:
    url = reverse("admin:integrity_integrityrun_repair")
    assert 'name="reason"' in admin_client.get(url).text
    admin_client.post(url, {"checks": [KEY], "launch_key": "once", "reason": "After the import."})
    assert audit(Job.objects.get()) == [
        ("repair", admin_user.email, "Started.", "After the import.")
    ]


def test_a_scheduled_check_and_a_scheduled_repair() -> None:
    check_integrity([], {"checks": [KEY]}, schedule="Nightly")
    check_integrity([], {"checks": [KEY], "dry_run": False}, schedule="Nightly")
    told = AuditNote.objects.order_by("pk").values_list("kind", "entry__user__email")
    assert list(told) == [("check", NOBODY), ("repair", NOBODY)]
    run = run_checks([CHECKS[KEY]], user=make_user(email="eve@example.org"))
    assert audit(run) == [("check", "eve@example.org", "Started.", "")]


def test_an_acknowledgement_has_its_reason(admin_client: Client, admin_user: User) -> None:
    day = f"{timezone.localdate()}"
    said = {"key": KEY, "reason": "Known.", "expires_on": day}
    admin_client.post(reverse("admin:integrity_integrityacknowledgement_add"), said)
    ((kind, who, _, why),) = audit(IntegrityAcknowledgement.objects.get())
    assert (kind, who, why) == ("acknowledge", admin_user.email, "Known.")


def test_histories_show_what_jobs_changed(
    admin_client: Client, capture_set: SourceImageCollection
) -> None:
    job = launched(admin_client, capture_set)
    change = job.changes.filter(model="main.occurrence").latest("pk")
    url = reverse("admin:main_occurrence_history", args=[change.object_id])
    history = admin_client.get(url).text
    assert f"Job {job.pk}: {job.name}" in history
    assert "determination" in history
    url = reverse("admin:main_sourceimagecollection_history", args=[capture_set.pk])
    with CaptureQueriesContext(connection) as context:
        history = admin_client.get(url).text
    assert f"Job {job.pk}: {job.name}" in history
    assert len(context) <= 10

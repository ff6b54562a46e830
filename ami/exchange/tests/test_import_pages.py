"""The page of an import: its plan, the Job that applies it, and the end of its file."""

import os
import shutil
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ami.base.tests.factories import make_project
from ami.exchange import uploads
from ami.exchange.importing import service
from ami.exchange.models import Import
from ami.exchange.plan import Outcome
from ami.exchange.tasks import delete_expired_exports
from ami.exchange.tests.exports import make_example, make_record
from ami.exchange.tests.reading import SAMPLES
from ami.exchange.tests.uploads import ADD, apply, imported, page_of, plan_of, stored, upload
from ami.jobs import applying
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.service import AlreadyLaunchedError
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import Detection, Occurrence, Project
from ami.users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]


class TestPlan:
    def test_page_shows_counts_and_entries(self, signed_in: Client, project: Project) -> None:
        imported([make_record(1), make_record(2)], project)
        changed = make_record(1, examples=[make_example(1, 0, score=0.75), make_example(1, 1)])
        job = imported([changed, make_record(2), make_record(3)], project, dry_run=True)
        text = page_of(signed_in, job)
        assert "Nothing has been written yet." in text
        assert "Apply this dry run" in text
        assert "[0].examples[0]" in text
        assert "score: 0.5 → 0.75" in text
        assert "“Run again…” with “Update”" in text

    def test_list_is_filtered_by_the_names_of_formats(
        self, signed_in: Client, project: Project
    ) -> None:
        imported([make_record(1)], project)
        url = reverse("admin:exchange_import_changelist")
        text = signed_in.get(url).text
        assert "By format" in text
        assert "Older JSON export of Antenna</a>" in text
        assert "antenna_examples</a>" not in text
        assert "1 import" in signed_in.get(url, {"form": "antenna_examples"}).text
        assert "0 imports" in signed_in.get(url, {"form": "camtrap_dp"}).text

    def test_observations_without_boxes_are_told_in_one_sentence(
        self, signed_in: Client, project: Project, tmp_path: Path
    ) -> None:
        package = shutil.make_archive(str(tmp_path / "dwc"), "zip", SAMPLES / "darwin_core")
        upload(signed_in, Path(package).read_bytes(), project, name="dwc.zip")
        job = run_to_end(Job.objects.get())
        told = "2 observations have no box and are left out: an individual is known here by its"
        assert told in page_of(signed_in, job)
        out = StringIO()
        call_command("import_occurrences", package, project="Other", stdout=out)
        assert told in out.getvalue()
        assert plan_of(Job.objects.latest("pk")).without_box == 2

    def test_long_lists_are_cut(self, signed_in: Client, project: Project) -> None:
        first = [make_record(number) for number in range(101)]
        imported(first, project)
        for record in first:
            record["examples"][0]["score"] = 0.25
        job = imported(first, project, dry_run=True)
        text = page_of(signed_in, job)
        assert text.count("score: 0.5 → 0.25") == 100
        assert "1 more" in text
        assert "There is nothing new to write" in text
        assert "Apply this dry run" not in text

    def test_running_job_shows_no_plan_yet(self, signed_in: Client, project: Project) -> None:
        upload(signed_in, [make_record(1)], project)
        assert 'id="plan"' not in page_of(signed_in, Job.objects.get())

    def test_texts_of_the_file_are_escaped(self, signed_in: Client, project: Project) -> None:
        imported([make_record(1)], project)
        odd = make_record(1, label="<script>alert(1)</script>")
        odd["examples"][0]["label"] = odd["label"]
        job = imported([odd], project, dry_run=True)
        assert "<script>alert" not in page_of(signed_in, job)

    def test_import_of_a_command_names_the_command(
        self, signed_in: Client, project: Project, import_export: Any
    ) -> None:
        import_export([make_record(1)], "--dry-run", "--update", "--deployment=Trap 7")
        job = Job.objects.get()
        text = page_of(signed_in, job)
        assert (
            "manage.py import_occurrences export.json --project Vermont "
            "--deployment &#x27;Trap 7&#x27; --update" in text
        )
        assert "Apply this dry run" not in text
        assert "was not uploaded" in apply(signed_in, job).text
        again = signed_in.get(reverse("admin:jobs_job_run_again", args=[job.pk]), follow=True)
        assert "Import it with the command import_occurrences." in again.text


class TestApply:
    @pytest.fixture
    def dry_run(self, project: Project) -> Job:
        return imported([make_record(1), make_record(2)], project, dry_run=True)

    def test_dry_run_is_applied(self, signed_in: Client, dry_run: Job, person: User) -> None:
        apply(signed_in, dry_run)
        job = run_to_end(Job.objects.latest("pk"))
        assert (job.status, job.applies, job.user) == (JobState.SUCCESS, dry_run, person)
        assert Occurrence.objects.count() == 2
        assert plan_of(job).as_json() == plan_of(dry_run).as_json()
        text = page_of(signed_in, job)
        assert "What became of the rows" in text
        assert "Nothing has been written" not in text
        assert "Apply this dry run" not in page_of(signed_in, dry_run)

    def test_second_application_leads_to_the_first(self, signed_in: Client, dry_run: Job) -> None:
        apply(signed_in, dry_run)
        text = apply(signed_in, dry_run).text
        assert f"Job {Job.objects.latest('pk').pk} already applies Job {dry_run.pk}" in text
        assert Job.objects.count() == 2

    def test_two_requests_at_once_start_one_job(
        self, dry_run: Job, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.apply(dry_run, user=None)
        monkeypatch.setattr(applying, "standing", lambda job: None)
        monkeypatch.setattr(applying, "launch_key", lambda job: f"again-{job.pk}-0")
        with pytest.raises(AlreadyLaunchedError):
            service.apply(dry_run, user=None)

    def test_changes_since_ask_for_confirmation(
        self, signed_in: Client, dry_run: Job, project: Project
    ) -> None:
        imported([make_record(3)], project)
        text = apply(signed_in, dry_run).text
        assert "2 detections of the project added or changed since." in text
        assert not dry_run.applied_by.exists()
        apply(signed_in, dry_run, _confirmed="1")
        assert dry_run.applied_by.exists()

    def test_reverted_import_is_applied_again(self, signed_in: Client, project: Project) -> None:
        job = imported([make_record(1)], project)
        run_to_end(request_revert(job))
        assert not Occurrence.objects.exists()
        assert "Apply again" in page_of(signed_in, job)
        apply(signed_in, job)
        run_to_end(Job.objects.latest("pk"))
        assert Occurrence.objects.count() == 1


class TestAgain:
    def test_options_are_filled_in_and_changed(self, signed_in: Client, project: Project) -> None:
        imported([make_record(1)], project)
        changed = make_record(1, examples=[make_example(1, 0, score=0.75), make_example(1, 1)])
        job = imported([changed], project, dry_run=True, deployment="Trap")
        page: Any = signed_in.get(reverse("admin:jobs_job_run_again", args=[job.pk]), follow=True)
        (url, _), *_ = page.redirect_chain
        assert url == f"{reverse(ADD)}?again={job.pk}"
        assert 'value="Trap"' in page.text
        key = uuid4()
        for _ in range(2):
            signed_in.post(url, {"deployment": "Trap", "update": "on", "launch_key": key})
        assert Job.objects.count() == 3
        again = run_to_end(Job.objects.latest("pk"))
        assert again.dry_run
        assert plan_of(again).total(Outcome.CHANGED) == 1
        apply(signed_in, again)
        run_to_end(Job.objects.latest("pk"))
        assert Detection.objects.filter(classifications__score=0.75).exists()

    def test_several_imports_are_not_run_again_at_once(
        self, signed_in: Client, project: Project
    ) -> None:
        jobs = [imported([make_record(1)], project) for _ in range(2)]
        data = {"action": "run_jobs_again", "_selected_action": [job.pk for job in jobs]}
        response = signed_in.post(reverse("admin:jobs_job_changelist"), data, follow=True)
        assert "Run imports again one at a time." in response.text

    def test_foreign_and_unknown_jobs_are_ignored(self, signed_in: Client) -> None:
        foreign = imported([make_record(1)], make_project(name="Foreign"))
        for pk in (foreign.pk, 10**9, "x", ""):
            assert "Choose" not in signed_in.get(reverse(ADD), {"again": pk}).text
            assert "Foreign" not in signed_in.get(reverse(ADD), {"again": pk}).text


class TestExpiry:
    def expire(self, *jobs: Job) -> None:
        past = timezone.now() - timedelta(days=1)
        Import.objects.filter(job__in=jobs).update(expires_at=past)

    def test_file_is_deleted_and_the_plan_is_kept(
        self, signed_in: Client, project: Project
    ) -> None:
        job = imported([make_record(1)], project, dry_run=True)
        plan = plan_of(job).as_json()
        assert delete_expired_exports() == 0
        self.expire(job)
        assert delete_expired_exports() == 1
        assert delete_expired_exports() == 0
        assert stored() == []
        assert plan_of(job).as_json() == plan
        text = page_of(signed_in, job)
        assert "The file has expired: upload it again to import it." in text
        assert "Apply this dry run" not in text
        expired = "The file occurrences.json has expired and was deleted. Upload it again."
        assert expired in apply(signed_in, job).text
        again = reverse("admin:jobs_job_run_again", args=[job.pk])
        assert expired in signed_in.get(again, follow=True).text
        assert expired in signed_in.get(f"{reverse(ADD)}?again={job.pk}", follow=True).text

    def test_file_is_kept_while_a_job_needs_it(self, signed_in: Client, project: Project) -> None:
        job = imported([make_record(1)], project, dry_run=True)
        apply(signed_in, job)
        new = Job.objects.latest("pk")
        self.expire(job, new)
        assert delete_expired_exports() == 0  # it is queued
        run_to_end(new)
        Import.objects.filter(job=new).update(expires_at=timezone.now() + timedelta(days=1))
        assert delete_expired_exports() == 0
        self.expire(new)
        assert delete_expired_exports() == 1
        assert stored() == []

    def test_files_of_killed_processes_are_deleted(self) -> None:
        old, new = (uploads.temporary_file(".csv") for _ in range(2))
        os.utime(old.name, (0, 0))
        assert delete_expired_exports() == 0
        assert stored() == [new.name]
        for file in (old, new):
            with suppress(FileNotFoundError):
                file.close()

    def test_job_whose_file_is_gone_fails_with_a_sentence(
        self, signed_in: Client, project: Project
    ) -> None:
        job = imported([make_record(1)], project, dry_run=True)
        default_storage.delete(Import.objects.get().path)
        apply(signed_in, job)
        new = run_to_end(Job.objects.latest("pk"))
        assert new.error == "The file occurrences.json no longer exists. Upload it again."

    @pytest.mark.django_db(transaction=True)
    def test_last_import_of_a_file_takes_it_along(
        self, signed_in: Client, project: Project
    ) -> None:
        job = imported([make_record(1)], project, dry_run=True)
        apply(signed_in, job)
        new = run_to_end(Job.objects.latest("pk"))
        Import.objects.get(job=new).delete()
        assert len(stored()) == 1
        Import.objects.get(job=job).delete()
        assert stored() == []

"""The admin of imports: the upload, its plan, and the Job that applies it."""

import io
import json
from typing import Any
from uuid import uuid4
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core.files.storage import default_storage
from django.test import Client, override_settings
from django.urls import reverse

from ami.base.tests.factories import make_member, make_project
from ami.exchange.importing import media, service
from ami.exchange.models import Import
from ami.exchange.tests.exports import make_example, make_record
from ami.exchange.tests.present import results
from ami.exchange.tests.uploads import ADD, apply, imported, page_of, stored, upload
from ami.jobs.models import Job, JobState
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Detection, Occurrence, Project
from ami.users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]


class TestUpload:
    def test_upload_queues_a_dry_run(
        self, signed_in: Client, project: Project, person: User
    ) -> None:
        response = upload(signed_in, [make_record(1)], project, reason="From the field.")
        job = Job.objects.get()
        assert response.headers["Location"] == reverse("admin:jobs_job_change", args=[job.pk])
        assert (job.dry_run, job.project, job.user) == (True, project, person)
        row = Import.objects.get()
        folder, token, name = row.path.split("/")
        assert (folder, len(token), name) == ("imports", 32, "occurrences.json")
        assert (row.name, row.form, row.uploaded) == ("occurrences.json", "antenna_examples", True)
        assert stored() == [default_storage.path(row.path)]
        assert LogEntry.objects.filter(note__reason="From the field.").exists()
        job = run_to_end(job)
        assert job.status == JobState.SUCCESS
        assert not Occurrence.objects.exists()

    def test_same_form_starts_one_job(self, signed_in: Client, project: Project) -> None:
        key = uuid4()
        for _ in range(2):
            upload(signed_in, [make_record(1)], project, launch_key=key)
        assert Job.objects.count() == 1
        assert len(stored()) == 1

    @pytest.mark.parametrize("key", ["", "x"])
    def test_form_without_a_key_is_a_new_one(
        self, signed_in: Client, project: Project, key: str
    ) -> None:
        """Other Jobs without a key, such as those of commands, were not started by it."""
        for _ in range(2):
            upload(signed_in, [make_record(1)], project, launch_key=key)
        assert Job.objects.filter(launch_key=None).count() == 2

    def test_options_reach_the_job(self, signed_in: Client, project: Project) -> None:
        upload(
            signed_in,
            [make_record(1, deployment=None)],
            project,
            deployment=" Trap 7 ",
            boxes="xywh",
            update="on",
        )
        job = Job.objects.get()
        assert job.params["options"] == {
            "deployment": "Trap 7",
            "boxes": "xywh",
            "update": True,
            "atomic": None,
            "media": None,
        }
        assert run_to_end(job).status == JobState.SUCCESS
        assert "x, y, width, height in pixels" in page_of(signed_in, job)

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"", "The submitted file is empty."),
            (b"\x00\x01", "odd.json"),
            (b'{"a": 1}', "odd.json is a JSON object with a, which is in none of the formats"),
            (b"PK\x03\x04 no zip", "Cannot read odd.json"),
            (b"canonicalName,gbif_taxon_key,status,family,genus,species\n", "odd.json is"),
        ],
    )
    def test_unknown_file_is_refused_on_the_form(
        self, signed_in: Client, project: Project, content: bytes, told: str
    ) -> None:
        response = upload(signed_in, content, project, name="odd.json")
        assert response.status_code == 200
        assert told in response.text
        assert default_storage.path("") not in response.text
        assert not Job.objects.exists()
        response.close()
        assert stored() == []

    def test_a_zip_of_results_of_a_pipeline_is_imported(
        self, signed_in: Client, project: Project
    ) -> None:
        packed = io.BytesIO()
        with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
            for number in range(2):
                document = results(["Actias luna"], [0.5])
                document["source_images"][0]["url"] = f"2022062023000{number}.jpg"
                archive.writestr(f"out/{number}.json", json.dumps(document))
        upload(signed_in, packed.getvalue(), project, name="results.zip")
        job = run_to_end(Job.objects.get())
        assert job.status == JobState.SUCCESS, job.error
        apply(signed_in, job)
        assert run_to_end(Job.objects.latest("pk")).status == JobState.SUCCESS
        assert Detection.objects.filter(source_image__project=project).count() == 2

    def test_large_file_is_refused(self, signed_in: Client, project: Project) -> None:
        with override_settings(IMPORT_MAX_BYTES=200_000):
            response = upload(signed_in, b"[" + b" " * 200_000, project)
        assert "The file is larger than 195.3\xa0KB." in response.text
        assert str(project) in response.text  # the other fields are kept
        response.close()
        assert stored() == []

    def test_file_is_required(self, signed_in: Client, project: Project) -> None:
        assert "Choose a file." in signed_in.post(reverse(ADD), {"project": project.pk}).text

    def test_odd_names_of_files_are_stored_under_plain_ones(
        self, signed_in: Client, project: Project
    ) -> None:
        names = ("../../é ü<b>.JSON", "x" * 200 + ".json", "…", "a.tar.gzzzzzzzzzzzzzzzzz")
        for name in names:
            upload(signed_in, [make_record(1)], project, name=name)
        plain = {row.path.rpartition("/")[2] for row in Import.objects.all()}
        assert plain == {"e-ub.json", "x" * 50 + ".json", "file", "atar"}

    def test_failing_launch_leaves_no_file(
        self, signed_in: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(*_: Any, **__: Any) -> None:
            raise RuntimeError("no")

        monkeypatch.setattr("ami.exchange.admin.upload.queue_import", failing)
        with pytest.raises(RuntimeError):
            upload(signed_in, [make_record(1)], project)
        assert stored() == []

    def test_faults_of_the_file_are_told_by_its_name(
        self, signed_in: Client, project: Project
    ) -> None:
        upload(signed_in, b'[{"examples": [], "label": "x"}]', project)
        job = run_to_end(Job.objects.get())
        assert job.status == JobState.FAILURE
        assert "[0].examples" in job.error
        assert "[0].examples" in page_of(signed_in, job)

    def test_file_that_cannot_be_read_has_its_own_name(
        self, signed_in: Client, project: Project
    ) -> None:
        upload(signed_in, b'[{"examples": [], "label": "x"}, {', project)
        job = run_to_end(Job.objects.get())
        assert job.error == "occurrences.json is not JSON: parse error: premature EOF."

    def test_remedies_name_the_fields_of_the_form(
        self, signed_in: Client, project: Project
    ) -> None:
        upload(signed_in, [make_record(1, deployment=None)], project)
        job = run_to_end(Job.objects.get())
        assert "names no deployment. Set the option “Deployment”" in job.error
        assert "“Run again…” opens the options of the import." in page_of(signed_in, job)

    def test_file_in_a_bucket_is_imported(self, signed_in: Client, project: Project) -> None:
        memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        with override_settings(STORAGES={**settings.STORAGES, "default": memory}):
            upload(signed_in, [make_record(1)], project)
            job = run_to_end(Job.objects.get())
            assert job.status == JobState.SUCCESS
            default_storage.delete(Import.objects.get().path)
            Import.objects.update(name="manage.py")  # which exists on this machine
            assert service.can_apply(job)
            gone = run_to_end(service.apply(job, user=None))
        assert gone.error == "The file manage.py no longer exists. Upload it again."

    def test_upload_never_asks_for_pictures(
        self, signed_in: Client, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(media, "urlopen", lambda *a, **k: pytest.fail("asked for an address"))
        example = make_example(1, 0, source_image_path="http://192.0.2.1/a.jpg", bbox=[0, 0, 1, 1])
        assert media.look(None, example["source_image_path"]).size is None
        upload(signed_in, [make_record(1, examples=[example])], project, boxes="fractions")
        assert run_to_end(Job.objects.get()).status == JobState.SUCCESS


class TestRights:
    def form(self, client: Client, user: User) -> Any:
        client.force_login(user)
        return client.get(reverse(ADD))

    def test_manager_without_the_shared_rights_may_not_upload(
        self, client: Client, project: Project
    ) -> None:
        assert self.form(client, make_member(project, Role.MANAGER)).status_code == 403

    def test_only_projects_where_the_person_may_are_offered(
        self, signed_in: Client, person: User, project: Project
    ) -> None:
        others = [make_project(name="Foreign"), make_project(name="Viewed")]
        others[1].memberships.create(user=person, role=Role.OPERATOR)
        text = signed_in.get(reverse(ADD)).text
        assert "Vermont" in text
        assert "Foreign" not in text
        assert "Viewed" not in text
        for other in others:
            upload(signed_in, [make_record(1)], other)
        assert not Job.objects.exists()

    def test_operator_sees_the_plan_and_does_not_apply_it(
        self, client: Client, project: Project
    ) -> None:
        job = imported([make_record(1)], project, dry_run=True)
        operator = make_member(project, Role.OPERATOR)
        client.force_login(operator)
        text = page_of(client, job)
        assert "Nothing has been written yet. A manager of the project who may import" in text
        assert "Apply this dry run" not in text
        assert "Run again" not in text
        assert "may not import into" in apply(client, job).text
        assert Job.objects.count() == 1
        again = reverse("admin:jobs_job_run_again", args=[job.pk])
        assert "may not import into" in client.get(again, follow=True).text
        assert client.get(reverse(ADD), {"again": job.pk}).status_code == 403

    def test_lists_show_own_imports_only(self, signed_in: Client, project: Project) -> None:
        own = imported([make_record(1)], project)
        imported([make_record(1)], make_project(name="Foreign"))
        text = signed_in.get(reverse("admin:exchange_import_changelist")).text
        assert "1 import" in text
        assert "Created: 11" in text
        page = signed_in.get(
            reverse("admin:exchange_import_change", args=[Import.objects.get(job=own).pk])
        )
        assert "Older JSON export of Antenna" in page.text

"""Name lists as Jobs: uploaded, planned and applied, by whoever may."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_member, make_project, make_taxon
from ami.base.tests.snapshots import snapshot, values
from ami.exchange.models import Import
from ami.exchange.taxa import import_taxa
from ami.exchange.tests.exports import make_record
from ami.exchange.tests.name_lists import (
    MOTHS,
    TABLES,
    grant,
    imported,
    person,
    planned,
    revert,
    send,
)
from ami.exchange.tests.test_import_taxa import HEADER, import_file, make_row
from ami.exchange.tests.uploads import ADD, apply, page_of, upload
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Project, TaxaList, Taxon
from ami.users.models import User
from config.tests.access_tables import IMPORTS

__all__ = ["imported", "person", "planned", "send"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]
# Interrupted in the middle of a transaction.
to_the_end = pytest.mark.django_db(transaction=True)


class TestUpload:
    def test_list_is_planned_and_applied(
        self, planned: Callable[..., Job], signed_in: Client, project: Project
    ) -> None:
        make_taxon(name="Actias luna")
        before = snapshot(*TABLES)
        job = planned(*MOTHS)
        assert (job.dry_run, job.project, job.name) == (True, project, "Import of moths.csv")
        assert snapshot(*TABLES) == before
        text = page_of(signed_in, job)
        assert "Nothing has been written yet." in text
        assert "Name list" in text
        assert "GBIF key: none → 1" in text
        assert "Moths" in text
        assert "--list" not in text
        apply(signed_in, job)
        applied = run_to_end(Job.objects.latest("pk"))
        assert applied.outcome == Outcome.SUCCEEDED
        figures = applied.progress.figures
        assert (figures["Taxa created"], figures["Taxa changed"]) == (6, 1)
        assert figures["Taxa added to list"] == 4
        moths = TaxaList.objects.get()
        assert (moths.name, list(moths.projects.all())) == ("Moths", [project])
        assert Taxon.objects.get(name="Actias luna").gbif_taxon_key == 1
        assert Import.objects.get(job=applied).form == "name_list"

    def test_histories_tell_what_the_import_changed(
        self, imported: Callable[..., Job], admin_client: Client
    ) -> None:
        taxon = make_taxon(name="Actias luna")
        job = imported(*MOTHS)
        for row in (taxon, TaxaList.objects.get()):
            page = reverse(f"admin:main_{row._meta.model_name}_history", args=[row.pk])
            assert f"Job {job.pk}: Import of moths.csv" in admin_client.get(page).text

    def test_second_import_says_that_nothing_changed(
        self, imported: Callable[..., Job], planned: Callable[..., Job], signed_in: Client
    ) -> None:
        imported(*MOTHS)
        before = snapshot(*TABLES)
        text = page_of(signed_in, planned(*MOTHS))
        assert "The taxa list already contains everything that the file says." in text
        assert "Apply this dry run" not in text
        assert snapshot(*TABLES) == before

    def test_what_differs_is_changed_on_demand(
        self, planned: Callable[..., Job], signed_in: Client
    ) -> None:
        taxon = make_taxon(name="Actias luna", gbif_taxon_key=7)
        job = planned(make_row("Actias luna", key="1"))
        assert "GBIF key: 7 → 1" in page_of(signed_in, job)
        again = signed_in.get(reverse("admin:jobs_job_run_again", args=[job.pk]), follow=True)
        assert 'value="Moths"' in again.text
        assert "Boxes" not in again.text
        form = {"list_name": "Moths", "update": "on"}
        signed_in.post(f"{reverse(ADD)}?again={job.pk}", form)
        updating = run_to_end(Job.objects.latest("pk"))
        assert updating.params["options"] == {
            "list_name": "Moths",
            "encoding": None,
            "update": True,
        }
        apply(signed_in, updating)
        run_to_end(Job.objects.latest("pk"))
        taxon.refresh_from_db()
        assert taxon.gbif_taxon_key == 1

    def test_later_changes_are_told_before_a_plan_is_applied(
        self, planned: Callable[..., Job], signed_in: Client
    ) -> None:
        job = planned(*MOTHS)
        make_taxon()
        assert "1 taxon added or changed since." in apply(signed_in, job).text
        assert Job.objects.count() == 1

    def test_encoding_is_named(self, signed_in: Client, project: Project) -> None:
        content = "name\nNoctua pronuba Hübner\n".encode("latin-1")
        fields = {"name": "moths.csv", "list_name": "Moths"}
        assert "set the option “Encoding”" in upload(signed_in, content, project, **fields).text
        upload(signed_in, content, project, encoding="latin-1", **fields)
        assert run_to_end(Job.objects.get()).status == JobState.SUCCESS

    @pytest.mark.parametrize(
        ("header", "row", "fields", "told"),
        [
            (HEADER, MOTHS[0], {"list_name": ""}, "moths.csv is a name list. Name the taxa list"),
            (HEADER, MOTHS[0], {"boxes": "xywh"}, "moths.csv is a name list, which has none."),
            (HEADER, MOTHS[0], {"list_name": "\u200e"}, "It must be a non-empty text."),
            ("name,rank\n", "", {}, ""),
            ("odd,other", "", {}, "moths.csv is a table with odd, other, which is in none"),
        ],
    )
    def test_what_does_not_fit_is_refused_on_the_form(
        self, send: Any, header: str, row: str, fields: dict[str, str], told: str
    ) -> None:
        response = send(row, header=header, **fields)
        assert (response.status_code == 302) == (not told)
        assert told in response.text
        assert Job.objects.exists() == (not told)

    def test_occurrences_are_no_name_list(
        self, signed_in: Client, person: User, project: Project
    ) -> None:
        grant(person, *IMPORTS["occurrences"])
        text = upload(signed_in, [make_record(1)], project, list_name="Moths").text
        assert "occurrences.json is an older JSON export of Antenna, not a name list." in text
        assert not Job.objects.exists()

    def test_faults_are_told_by_the_name_of_the_file(self, planned: Callable[..., Job]) -> None:
        job = planned(make_row("Actias luna", status="NotAvail"))
        assert job.status == JobState.FAILURE
        assert job.error.startswith("moths.csv contains no species with a GBIF match.")

    def test_programming_error_leaves_nothing(
        self,
        planned: Callable[..., Job],
        signed_in: Client,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        dry_run, before = planned(*MOTHS), snapshot(*TABLES)

        def failing(*args: Any, **kwargs: Any) -> None:
            import_taxa(*args, **kwargs)
            raise RuntimeError("no")

        with monkeypatch.context() as patch:
            patch.setattr("ami.exchange.importing.names.import_taxa", failing)
            apply(signed_in, dry_run)
            job = run_to_end(Job.objects.latest("pk"))
        assert job.outcome == Outcome.CRASHED
        assert snapshot(*TABLES) == before
        assert not job.changes.exists()
        apply(signed_in, dry_run)
        assert run_to_end(Job.objects.latest("pk")).outcome == Outcome.SUCCEEDED


class TestCommand:
    def test_import_is_a_job_without_a_project(self, tmp_path: Path) -> None:
        path = tmp_path / "moths.csv"
        path.write_text("\n".join([HEADER, *MOTHS]))
        out = import_file(path)
        job = Job.objects.get()
        assert (job.project, job.status) == (None, JobState.SUCCESS)
        assert f"To undo it, revert Job {job.pk}." in out
        revert(job)
        assert not any(values(*TABLES).values())

    def test_dry_run_names_the_command(
        self, tmp_path: Path, admin_client: Client, project: Project
    ) -> None:
        path = tmp_path / "moths.csv"
        path.write_text("\n".join([HEADER, *MOTHS]))
        import_file(path, "--dry-run", "--encoding=utf-8", "--update")
        assert (
            "manage.py import_taxa moths.csv --list Regional --encoding utf-8 --update"
            in page_of(admin_client, Job.objects.get())
        )

    @to_the_end
    def test_killed_import_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "moths.csv"
        path.write_text("\n".join([HEADER, *MOTHS]))

        def killed(*_: Any) -> None:
            assert Taxon.objects.exists()
            raise KeyboardInterrupt

        monkeypatch.setattr("ami.exchange.taxa.get_coverage", killed)
        with pytest.raises(KeyboardInterrupt):
            import_file(path)
        assert Job.objects.get().status == JobState.REVOKED
        assert not any(values(*TABLES).values())

    def test_files_of_the_other_command_are_named(
        self, tmp_path: Path, import_export: Callable[..., str]
    ) -> None:
        path = tmp_path / "a.json"
        path.write_text('[{"examples": [], "label": "x"}]')
        told = (
            r"older JSON export of Antenna \(antenna_examples\), not a name list\. Import it with"
        )
        with pytest.raises(CommandError, match=told):
            call_command("import_taxa", str(path), "--list=Moths")
        with pytest.raises(CommandError, match=r"is a name list\. Import it with import_taxa\."):
            import_export(HEADER.encode())
        assert not Job.objects.exists()


def _permissions(perm: str | None) -> Any:
    return Permission.objects.filter(codename=(perm or "").partition(".")[2])


class TestRights:
    def test_manager_without_rights_on_taxa_may_not_upload(
        self, client: Client, project: Project
    ) -> None:
        client.force_login(make_member(project, Role.MANAGER))
        assert client.get(reverse(ADD)).status_code == 403

    @pytest.mark.parametrize("kind", IMPORTS)
    def test_each_right_of_the_table_is_needed(
        self, client: Client, project: Project, kind: str
    ) -> None:
        """Without one of them, the page refuses the file, or the person."""
        if kind == "name list":
            TaxaList.objects.create(name="Moths")
        is_list = kind != "occurrences"
        data = f"{HEADER}\n{MOTHS[0]}".encode() if is_list else [make_record(1)]
        fields = {"name": "moths.csv", "list_name": "Moths"} if is_list else {}
        for lacking in (*IMPORTS[kind], None):
            user = make_member(project, Role.MANAGER)
            others = {one for perms in IMPORTS.values() for one in perms}
            grant(user, *(others if lacking else IMPORTS[kind]))
            user.user_permissions.remove(*_permissions(lacking))
            client.force_login(user)
            allowed = upload(client, data, project, **fields).status_code == 302
            assert allowed == (lacking is None) == Job.objects.exists(), lacking

    def test_list_of_a_later_run_needs_the_rights_too(
        self, planned: Callable[..., Job], signed_in: Client, person: User
    ) -> None:
        TaxaList.objects.create(name="Moths")
        job = planned(*MOTHS)
        person.user_permissions.remove(*_permissions("main.add_taxalist"))
        page = f"{reverse(ADD)}?again={job.pk}"
        response = signed_in.post(page, {"list_name": "Butterflies"})
        assert "You lack the permission main.add_taxalist" in response.text
        assert Job.objects.count() == 1
        assert signed_in.post(page, {"list_name": "Moths"}).status_code == 302

    def test_list_of_another_project_is_not_touched(self, imported: Callable[..., Job]) -> None:
        foreign = TaxaList.objects.create(name="Moths")
        foreign.projects.add(make_project())
        imported(*MOTHS)
        assert not foreign.taxa.exists()
        assert TaxaList.objects.filter(name="Moths").count() == 2

    def test_occurrences_need_their_own_rights(self, signed_in: Client, project: Project) -> None:
        told = "You may not import an older JSON export of Antenna into this project."
        assert told in upload(signed_in, [make_record(1)], project).text

    def test_operator_sees_the_import_and_may_not_revert_it(
        self, client: Client, imported: Callable[..., Job], project: Project
    ) -> None:
        job = imported(*MOTHS)
        undone = revert(imported(make_row("Noctua pronuba")))
        client.force_login(make_member(project, Role.OPERATOR))
        for one in (job, undone):
            assert "Revert…" not in page_of(client, one)
            page = reverse("admin:jobs_job_revert", args=[one.pk])
            assert client.get(page).status_code == client.post(page).status_code == 403
        again = reverse("admin:jobs_job_run_again", args=[job.pk])
        told = "may not import names into the taxa list &#x27;Moths&#x27;"
        assert told in client.get(again, follow=True).text

    def test_person_with_the_rights_reverts_it(
        self, imported: Callable[..., Job], signed_in: Client
    ) -> None:
        job = imported(*MOTHS)
        assert "Revert…" in page_of(signed_in, job)
        signed_in.post(reverse("admin:jobs_job_revert", args=[job.pk]))
        run_to_end(Job.objects.latest("pk"))
        assert not Taxon.objects.exists()

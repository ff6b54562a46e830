"""The page of a project for its members, and how members without staff status sign in."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ami.base.tests.factories import make_member, make_project, make_user
from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job
from ami.jobs.states import JobState, Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Occurrence, Project, SourceImageCollection, TaxaList
from ami.main.models.occurrence import update_occurrence_determination
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking.task import ClassMaskingTask
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_source,
    make_species,
)

pytestmark = pytest.mark.django_db
OVERVIEWS = "/admin/main/project/overview/"
LONG = "Nacht\u202eschmetterling" + "W" * 230


def address(project: Project) -> str:
    return f"/admin/main/project/{project.pk}/overview/"


def text_of(response: Any) -> str:
    assert response.status_code == 200
    return " ".join(BeautifulSoup(response.text, "html.parser").get_text(" ").split())


def links(response: Any) -> dict[str, str]:
    soup = BeautifulSoup(response.text, "html.parser").find(id="content")
    assert soup is not None
    return {" ".join(link.get_text().split()): str(link["href"]) for link in soup.find_all("a")}


@pytest.fixture
def capture_set() -> SourceImageCollection:
    """A capture set with an occurrence of a species that is not on the only list."""
    absent, present = make_species("Actias luna", "Zale lunata")
    classifier = make_classifier(absent.name, present.name)
    make_list(present, name="Species of Vermont")
    make_source(classifier, taxon=absent, scores=[0.6, 0.4], logits=[1.0, 0.6])
    update_occurrence_determination(Occurrence.objects.get())
    return everything()


def mask(capture_set: SourceImageCollection) -> Job:
    config = {
        "source_image_collection_id": capture_set.pk,
        "taxa_list_id": TaxaList.objects.get().pk,
        "algorithm_id": Algorithm.objects.earliest("pk").pk,
    }
    row = LaunchRow("Masking of the night", capture_set.project, config)
    return run_to_end(launch(ClassMaskingTask, [row])[0])


def visit(client: Client, project: Project, role: Role, **fields: Any) -> Any:
    client.force_login(make_member(project, role, **fields))
    return client.get(address(project))


def test_masking_is_on_with_what_each_name_would_be_without_it(
    client: Client, capture_set: SourceImageCollection
) -> None:
    job = mask(capture_set)
    page = visit(client, capture_set.project, Role.MANAGER)
    text = text_of(page)
    assert "Masking is on" in text
    assert "Taxa list Species of Vermont" in text
    assert "1 occurrence got another name. Names without and with this run" in text
    assert "Actias luna Zale lunata 1" in text
    assert links(page)["Switch off…"] == f"/admin/jobs/job/{job.pk}/revert/"
    assert "Revert Job" in client.get(links(page)["Switch off…"]).text


def test_masking_that_was_reverted_can_be_switched_on_again(
    client: Client, capture_set: SourceImageCollection
) -> None:
    job = mask(capture_set)
    run_to_end(request_revert(job))
    page = visit(client, capture_set.project, Role.MANAGER)
    assert "Masking is off" in text_of(page)
    assert "No method has changed this project." in text_of(page)
    form = client.get(links(page)["Switch on…"])
    assert "Run Class masking" in form.text
    assert "Species of Vermont" in form.text


def test_revert_of_a_revert_puts_masking_on(
    client: Client, capture_set: SourceImageCollection
) -> None:
    run_to_end(request_revert(run_to_end(request_revert(mask(capture_set)))))
    assert "Masking is on" in text_of(visit(client, capture_set.project, Role.VIEWER))


def copies(job: Job, number: int, **fields: Any) -> None:
    for _ in range(number):
        Job.objects.create(
            project=job.project,
            job_type_key=job.job_type_key,
            **{"params": job.params, "status": job.status, "outcome": job.outcome} | fields,
        )


def test_masking_stays_on_when_other_runs_follow(
    client: Client, capture_set: SourceImageCollection
) -> None:
    job = mask(capture_set)
    copies(job, 60, params={"task": "tracking", "config": {}})
    page = visit(client, capture_set.project, Role.MANAGER)
    assert "Masking is on" in text_of(page)
    assert links(page)["Switch off…"] == f"/admin/jobs/job/{job.pk}/revert/"


def test_run_that_stopped_after_it_changed_rows_is_shown(
    client: Client, capture_set: SourceImageCollection
) -> None:
    mask(capture_set)
    Job.objects.update(status=JobState.REVOKED, outcome=Outcome.CANCELED)
    copies(Job.objects.get(), 1)  # which has no changes
    text = text_of(visit(client, capture_set.project, Role.VIEWER))
    assert "Masking is on" in text
    assert text.count("The run stopped before all rows were done.") == 1


def test_switch_waits_while_masking_is_being_switched(
    client: Client, capture_set: SourceImageCollection
) -> None:
    revert = request_revert(mask(capture_set))
    page = visit(client, capture_set.project, Role.MANAGER)
    assert "has not ended. Reload this page later" in text_of(page)
    assert f"Job {revert.pk}" in links(page)
    assert not any("Switch" in text for text in links(page))


def test_taxa_list_of_another_project_has_no_name(
    client: Client, capture_set: SourceImageCollection
) -> None:
    mask(capture_set)
    TaxaList.objects.get().projects.set([make_project()])
    assert "Vermont" not in text_of(visit(client, capture_set.project, Role.MANAGER))


def test_first_masking_starts_from_a_capture_set(
    client: Client, capture_set: SourceImageCollection
) -> None:
    soup = BeautifulSoup(visit(client, capture_set.project, Role.MANAGER).text, "html.parser")
    form = soup.select_one("#content form")
    assert form is not None
    fields = {str(field["name"]): str(field["value"]) for field in form.select("input")}
    chosen = str(form.select("option")[0]["value"])
    answer = client.post(str(form["action"]), fields | {"_selected_action": chosen})
    assert "Run Class masking" in answer.text
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("role", "is_staff"), [(Role.VIEWER, True), (Role.IDENTIFIER, True), (Role.MANAGER, False)]
)
def test_only_who_may_run_methods_sees_the_switch(
    client: Client, capture_set: SourceImageCollection, role: Role, is_staff: bool
) -> None:
    mask(capture_set)
    page = visit(client, capture_set.project, role, is_staff=is_staff)
    assert "Masking is on" in text_of(page)
    assert not any("Switch" in text for text in links(page))
    if not is_staff:
        assert links(page) == {}


def test_page_of_another_project_does_not_exist(client: Client) -> None:
    project, other = make_project(name="Hocuspocus"), make_project()
    assert client.get(address(project)).status_code == 302
    strangers = (make_member(other, Role.MANAGER), make_user(is_staff=True), make_user())
    for person in strangers:
        client.force_login(person)
        for pk in (project.pk, 999_999_999, 2**70):
            answer = client.get(f"/admin/main/project/{pk}/overview/")
            assert answer.status_code == 404
            assert "Hocuspocus" not in answer.text
        assert "Hocuspocus" not in client.get(OVERVIEWS, follow=True).text
        assert client.post(address(project)).status_code in {404, 405}
    client.force_login(make_user(is_superuser=True))
    assert "Hocuspocus" in text_of(client.get(address(project)))


def test_page_of_many_runs_needs_few_queries(
    client: Client, capture_set: SourceImageCollection
) -> None:
    copies(mask(capture_set), 20, progress=Job.objects.get().progress)
    client.force_login(make_member(capture_set.project))
    with CaptureQueriesContext(connection) as queries:
        page = client.get(address(capture_set.project))
    assert text_of(page).count("Class masking") == 5
    assert "Earlier runs" in links(page)
    assert len(queries) <= 23


def test_page_shows_the_last_findings(client: Client) -> None:
    project = make_project(name=LONG)
    assert "have not been run on this project" in text_of(visit(client, project, Role.VIEWER))
    for rows in (7, 0, 5):
        run = IntegrityRun.objects.create(project=project, finished_at=timezone.now())
        IntegrityResult.objects.create(
            run=run, key="same_box", severity="warning", found=rows, remaining=rows
        )
    IntegrityResult.objects.create(run=run, key="taxon_loop", severity="error")
    text = text_of(visit(client, project, Role.VIEWER))
    assert "5 rows (warning)" in text
    assert "7 rows" not in text
    assert text.count("(error)") == 0


def test_member_without_staff_status_signs_in_and_is_led_to_the_project(client: Client) -> None:
    project = make_project(name="Moths of Vermont")
    make_member(
        project, Role.VIEWER, email="ada@example.org", password="a long secret", is_staff=False
    )
    form = {"username": "ada@example.org", "password": "a long secret", "next": "/admin/"}
    page = client.post("/admin/login/", form, follow=True)
    assert page.redirect_chain[-1][0] == address(project)
    assert "Moths of Vermont" in text_of(page)
    assert "for staff" not in text_of(page)
    refused = client.get("/admin/main/taxon/", follow=True)
    assert "The administration is for staff. Ask an administrator" in text_of(refused)
    make_project().members.add(page.context["user"])
    assert len(links(client.get(OVERVIEWS))) == 2
    client.post("/admin/logout/")
    assert client.get(OVERVIEWS).status_code == 302


def test_person_without_a_project_reads_whom_to_ask(client: Client) -> None:
    client.force_login(make_user())
    text = text_of(client.get(OVERVIEWS))
    assert "You are not a member of a project. Ask the manager of a project to add you." in text

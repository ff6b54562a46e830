"""The list of samples, the page that draws one, and the page with the result."""

from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_member,
    make_project,
    make_taxon,
    make_user,
)
from ami.main.access import Role
from ami.main.models import AuditNote, Event, Project
from ami.review.models import Sample
from ami.review.tests.drawn import changed_by_job, make_occurrences
from ami.review.tests.judged import judge, make_sample

pytestmark = pytest.mark.django_db

ADD = "/admin/review/sample/add/"


@pytest.fixture
def project() -> Project:
    project = make_project()
    for score in (0.2, 0.9):
        make_occurrences(project, 10, taxon=make_taxon(), score=score)
    return project


@pytest.fixture
def operator(client: Client, project: Project) -> Client:
    client.force_login(make_member(project, Role.OPERATOR))
    return client


def filled_in(**given: Any) -> dict[str, Any]:
    form = {"name": "Spring", "size": 6, "strata": "", "double": 50, "seed": 3, "blind": "on"}
    return form | given


def test_page_shows_the_population_and_proposes_a_size(operator: Client, project: Project) -> None:
    answer = operator.get(f"{ADD}?source=project&source_id={project.pk}")
    assert "<strong>20 occurrences</strong> with a determination" in answer.text
    assert "<strong>18</strong> for ± 5 %" in answer.text
    assert answer.context["form"]["size"].value() == 18


def test_page_shows_the_strata_before_it_draws(operator: Client, project: Project) -> None:
    answer = operator.post(
        f"{ADD}?source=project&source_id={project.pk}",
        filled_in(strata="score", size=9, _show="Show the strata"),
    )
    assert "0.9 to below 0.95" in answer.text
    assert 'name="size" value="9"' in answer.text
    assert not Sample.objects.exists()


def test_sample_is_drawn_once_the_form_is_sent(operator: Client, project: Project) -> None:
    answer = operator.post(
        f"{ADD}?source=project&source_id={project.pk}",
        filled_in(strata="score", reason="Before the filter"),
        follow=True,
    )
    sample = Sample.objects.get()

    assert answer.redirect_chain == [(f"/admin/review/sample/{sample.pk}/change/", 302)]
    assert "Drew 6 occurrences at random." in answer.text
    assert (sample.name, sample.seed, sample.blind, sample.identifies) == ("Spring", 3, True, False)
    assert sample.items.filter(is_double=True).count() == 3
    note = AuditNote.objects.get()
    assert (note.reason, note.kind, note.project) == ("Before the filter", "add", project)


def test_form_that_is_sent_twice_draws_once(operator: Client, project: Project) -> None:
    url = f"{ADD}?source=project&source_id={project.pk}"
    first, again = (operator.post(url, filled_in(), follow=True) for _ in range(2))
    assert first.redirect_chain == again.redirect_chain
    assert "This form was sent before" in again.text
    operator.post(url, filled_in(size=7))
    assert sorted(sample.items.count() for sample in Sample.objects.all()) == [6, 7]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"size": 0}, "Ensure this value is greater than or equal to 1."),
        ({"size": 10_001}, "Ensure this value is less than or equal to 10000."),
        ({"name": ""}, "This field is required."),
        ({"strata": "colour"}, "Select a valid choice."),
        ({"strata": "run"}, "Select a valid choice."),
        ({"seed": 2**63}, "Ensure this value is less than or equal to"),
        ({"strata": "score", "size": 3}, "to have 2 from each of 2 strata, got 3."),
    ],
)
def test_invalid_forms_are_explained(
    operator: Client, project: Project, given: dict[str, Any], fault: str
) -> None:
    answer = operator.post(f"{ADD}?source=project&source_id={project.pk}", filled_in(**given))
    assert (answer.status_code, fault in answer.text) == (200, True)
    assert not Sample.objects.exists()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "press <em>Draw a sample</em> there"),
        ("source=moon&source_id=1", "A sample is drawn from job, collection,"),
        ("source=job&source_id=999999999", "There is no Job 999999999."),
        ("source=job&source_id=x", "Name the Job."),
        ("source=job", "Name the Job."),
        ("source=occurrences&query=colour%3Dred", "does not know the filter"),
        ("source=occurrences&query=q%3Dnothing", "There is nothing to draw."),
        ("source=occurrences&query=q%3D%00", "does not know the filter “q=”"),
        ("source=occurrences&project=999999999", "There is no project 999999999."),
    ],
)
def test_odd_addresses_are_answered_with_a_sentence(
    operator: Client, query: str, sentence: str
) -> None:
    assert sentence in operator.get(f"{ADD}?{query}").text.replace("&#x27;", "'")
    assert operator.post(f"{ADD}?{query}", filled_in()).status_code == 200
    assert not Sample.objects.exists()


def test_list_of_several_projects_asks_for_one(operator: Client, project: Project) -> None:
    other = make_project(name="Another one")
    other.members.add(project.members.get(), through_defaults={"role": Role.OPERATOR})
    make_project(name="A foreign one")
    answer = operator.get(f"{ADD}?source=occurrences&query=q%3D")
    assert f'<option value="{other.pk}">Another one</option>' in answer.text
    assert "A foreign one" not in answer.text
    for query in (f"query=q%3D&project={project.pk}", f"query=project__id__exact%3D{project.pk}"):
        assert "<strong>20 occurrences" in operator.get(f"{ADD}?source=occurrences&{query}").text


def test_pages_of_rows_lead_operators_to_the_drawing(client: Client, project: Project) -> None:
    rows = list(project.occurrences.order_by("pk"))
    job = changed_by_job(rows[:3], make_taxon())
    night = Event.objects.create(
        deployment=rows[0].deployment, project=project, group_by="2022-06-20"
    )
    capture_set = make_capture_set([make_capture(deployment=rows[0].deployment)])
    pages = {
        "main_project": ("project", project.pk),
        "jobs_job": ("job", job.pk),
        "main_event": ("event", night.pk),
        "main_sourceimagecollection": ("collection", capture_set.pk),
    }
    for role, is_offered in ((Role.VIEWER, False), (Role.OPERATOR, True)):
        client.force_login(make_member(project, role))
        for name, (source, pk) in pages.items():
            text = client.get(reverse(f"admin:{name}_change", args=[pk])).text
            assert (f'{ADD}?source={source}&amp;source_id={pk}">' in text) == is_offered, name
            assert "historylink" in text
        listed = client.get("/admin/main/occurrence/?determination_score__lte=0.5").text
        query = quote("determination_score__lte=0.5", safe="")
        link = f"{ADD}?source=occurrences&amp;query={query}"
        assert (link in listed) == is_offered
    assert "<strong>7 occurrences" in client.get(link.replace("&amp;", "&")).text


def test_running_job_does_not_lead_to_the_drawing(operator: Client, project: Project) -> None:
    job = changed_by_job(list(project.occurrences.all()), make_taxon())
    type(job).objects.update(status="STARTED")
    assert "Draw a sample" not in operator.get(f"/admin/jobs/job/{job.pk}/change/").text


def test_page_of_a_sample_shows_its_result(client: Client, project: Project) -> None:
    sample = make_sample(project=project, items=59, taxon=make_taxon(name="Noctua pronuba"))
    judge(sample.items.all(), "right", user=make_user(name="Ada"))
    client.force_login(make_member(project))
    text = client.get(reverse("admin:review_sample_change", args=[sample.pk])).text

    for told in ("59 of 59 right: at most 5 % are wrong", "Noctua pronuba", "Ada", "100.0 % right"):
        assert told in text
    assert "too few" not in text
    listed = client.get("/admin/review/sample/").text
    assert "59 of 59" in listed
    assert "Draw a sample" not in listed


def test_small_groups_are_told_to_be_too_small(client: Client, project: Project) -> None:
    sample = make_sample(project=project, items=9, taxon=make_taxon())
    judge(sample.items.all(), "right")
    client.force_login(make_member(project))
    text = client.get(reverse("admin:review_sample_change", args=[sample.pk])).text
    assert "70.1 % to 100.0 %, too few" in text


def test_manager_deletes_a_large_sample_with_its_answers(client: Client, project: Project) -> None:
    sample = make_sample(project=project, items=1_001)
    judge(sample.items.all()[:2], "right")
    client.force_login(make_member(project, Role.MANAGER))
    url = reverse("admin:review_sample_delete", args=[sample.pk])
    assert "Items: 1001" in client.get(url).text
    assert client.post(url, {"post": "yes"}).status_code == 302
    assert not Sample.objects.exists()


def test_page_of_a_sample_leads_those_who_may_answer_to_its_review(
    client: Client, project: Project
) -> None:
    sample = make_sample(project=project, items=1)
    for role, is_offered in ((Role.VIEWER, False), (Role.IDENTIFIER, True)):
        client.force_login(make_member(project, role))
        text = client.get(reverse("admin:review_sample_change", args=[sample.pk])).text
        assert (reverse("admin:review", args=[sample.pk]) in text) == is_offered


def test_sample_is_not_edited(operator: Client, project: Project) -> None:
    url = reverse("admin:review_sample_change", args=[make_sample(project=project).pk])
    assert operator.post(url, {"name": "Other"}).status_code == 403
    assert "Nobody has answered yet." in operator.get(url).text


def test_answers_are_streamed_as_csv(operator: Client, project: Project) -> None:
    sample = make_sample(project=project, items=2)
    judge(sample.items.all()[:1], "cannot_tell")
    answer: Any = operator.get(reverse("admin:review_sample_answers", args=[sample.pk]))
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("position,occurrence,stratum,")
    assert "cannot_tell" in text
    assert f'filename="sample-{sample.pk}-answers.csv"' in answer["Content-Disposition"]


def test_samples_outlive_what_they_were_drawn_from(operator: Client, project: Project) -> None:
    sample = make_sample(project=project, source="job", source_id=999_999_999)
    assert "Job 999999999" in operator.get("/admin/review/sample/").text
    url = reverse("admin:review_sample_change", args=[sample.pk])
    assert operator.get(url).status_code == 200


def test_pages_take_a_constant_number_of_queries(operator: Client, project: Project) -> None:
    def queries(number: int) -> list[int]:
        sample = make_sample(project=project, items=number, taxon=make_taxon())
        judge(sample.items.all(), "wrong", taxon=make_taxon())
        make_occurrences(project, number, taxon=make_taxon(), score=0.7)
        urls = (
            reverse("admin:review_sample_change", args=[sample.pk]),
            "/admin/review/sample/",
            f"{ADD}?source=project&source_id={project.pk}",
        )
        counts = []
        for url in urls:
            with CaptureQueriesContext(connection) as context:
                assert operator.get(url).status_code == 200
            counts.append(len(context))
        return counts

    queries(1)
    few = queries(1)
    assert queries(20) == few
    assert max(few) <= 15

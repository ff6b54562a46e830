"""The page of the effect, its sentence on the page of a Job, and the command."""

import json
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.base.tests.commands import conforms, run_command
from ami.base.tests.factories import make_member, make_project, make_user
from ami.jobs.models import Job
from ami.main.access import Role
from ami.main.models import Identification, Occurrence, SourceImageCollection, Taxon
from ami.review.effect import cached
from ami.review.effect.words import p_value
from ami.review.tests.planted import Plan, apply, make_run, make_tree, plant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clearing the cache would clear that of the tests that run at the same time, too."""
    monkeypatch.setattr(cached, "VERSION", uuid4().hex)


@pytest.fixture
def job() -> Job:
    tree = make_tree()
    plans = [
        Plan(12, tree.other, tree.species, tree.species),
        Plan(2, tree.species, tree.sister, tree.species),
        Plan(1, tree.species, tree.genus, tree.species),
        Plan(4, tree.other, tree.species, tree.species, agreed=True),
    ]
    job = make_run(plant(plans))
    apply(job, plans)
    return job


def page_of(job: Job, **query: Any) -> str:
    return reverse("admin:jobs_job_effect", args=[job.pk], query=query or None)


SENTENCE = (
    "Of 15 independently identified occurrences: 12 corrected, 2 regressed (p = .013); 1 coarsened."
)


def test_the_page_tells_the_effect_in_full(admin_client: Client, job: Job) -> None:
    text = admin_client.get(page_of(job)).text
    assert SENTENCE in text
    assert "Independent answers" in text
    assert "p = .013" in text
    assert "Changed names" in text
    assert "79.6 % to 100.0 %, n = 15" in text
    assert "+66.7 points" in text
    found = admin_client.get(page_of(job, format="json")).json()
    assert found["jobs"] == [job.pk]
    assert found["independent"]["moved"]["corrected"] == 12
    assert found["all_answers"]["moved"]["corrected"] == 16
    assert found["sentence"] == SENTENCE


def test_several_jobs_are_compared_as_one(admin_client: Client, job: Job) -> None:
    other = make_run(_scope_of(job))
    found = admin_client.get(page_of(job, **{"with": f"{other.pk}", "format": "json"})).json()
    assert (found["jobs"], found["identified"]) == ([job.pk, other.pk], 19)
    page = admin_client.get(page_of(job, **{"with": f"{other.pk}"})).text
    assert f'value="{other.pk}"' in page
    twice = admin_client.get(page_of(job, **{"with": f"{job.pk} {other.pk}", "format": "json"}))
    assert twice.json()["jobs"] == [job.pk, other.pk]


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ("x", "There is no Job x."),
        ("0", "There is no Job 0."),
        ("9" * 30, f"There is no Job {'9' * 20}."),
        ("1 " * 21, "At most 20 further Jobs can be compared."),
    ],
)
def test_odd_further_jobs_are_refused_in_a_sentence(
    admin_client: Client, job: Job, odd: str, told: str
) -> None:
    page = admin_client.get(page_of(job, **{"with": odd}))
    assert (page.status_code, told in page.text) == (404, True)
    assert "Together with the Jobs" in page.text, "another one can be entered"
    found = admin_client.get(page_of(job, **{"with": odd, "format": "json"}))
    assert (found.status_code, found.json()) == (404, {"jobs": [job.pk], "error": told})


def _scope_of(job: Job) -> Any:
    return SourceImageCollection.objects.get(project=job.project)


def test_the_effect_is_computed_anew_when_its_rows_change(admin_client: Client, job: Job) -> None:
    def told() -> str:
        return admin_client.get(page_of(job, format="sentence")).text

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            told()
        return len(seen)

    first, again = queries(), queries()
    assert again < first - 10
    assert told() == SENTENCE
    said = Identification.objects.filter(agreed_with_prediction=None).earliest("pk")
    Identification.objects.create(
        occurrence=Occurrence.objects.get(pk=said.occurrence_id),
        taxon=said.occurrence.identifications.get().taxon.parent,  # type: ignore[union-attr]
        user=make_user(),
    )
    assert "12 corrected" in told()
    assert told().startswith("Of 15")
    Identification.objects.filter(pk=said.pk).update(withdrawn=True, updated_at=timezone.now())
    Identification.objects.latest("pk").delete()
    assert "11 corrected" in told()
    assert "coarsened" in told()
    Taxon.objects.filter(identifications=said.pk).update(parent=None, updated_at=timezone.now())
    assert "coarsened" not in told(), "the genus is no longer above the species"


def test_the_sentence_is_on_the_page_of_the_job_once_it_is_known(
    admin_client: Client, job: Job
) -> None:
    url = reverse("admin:jobs_job_change", args=[job.pk])
    assert SENTENCE not in admin_client.get(url).text
    assert page_of(job) in admin_client.get(url).text
    admin_client.get(page_of(job))
    assert SENTENCE in admin_client.get(url).text


def test_pages_work_while_the_cache_does_not_answer(admin_client: Client, job: Job) -> None:
    nowhere = {"default": settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1"}}
    with override_settings(CACHES=nowhere):
        url = reverse("admin:jobs_job_change", args=[job.pk])
        assert page_of(job) in admin_client.get(url).text
        assert SENTENCE in admin_client.get(page_of(job)).text


def test_jobs_that_changed_nothing_have_no_effect(admin_client: Client, job: Job) -> None:
    export = make_run(_scope_of(job), job_type_key="export", params={})
    page = admin_client.get(reverse("admin:jobs_job_change", args=[export.pk])).text
    assert page_of(export) not in page


def test_what_cannot_be_told_is_told(admin_client: Client, job: Job) -> None:
    running = make_run(_scope_of(job), status="STARTED", finished_at=None)
    assert f"Job {running.pk} has not ended" in admin_client.get(page_of(running)).text
    Job.objects.filter(pk=job.pk).update(pruned_at=timezone.now())
    assert "was deleted on" in admin_client.get(page_of(job)).text
    Identification.objects.all().delete()
    empty = make_run(_scope_of(job))
    assert "Nobody has identified an occurrence" in admin_client.get(page_of(empty)).text


def test_jobs_of_other_projects_do_not_exist(client: Client, job: Job) -> None:
    assert job.project
    foreign = make_run(_scope_of(job), project=make_project(), name="Foreign run")
    client.force_login(make_member(job.project, Role.VIEWER))
    assert client.get(page_of(job)).status_code == 200
    assert client.get(page_of(foreign)).status_code in {302, 404}
    page = client.get(page_of(job, **{"with": f"{foreign.pk}"}))
    assert page.status_code == 404
    assert f"There is no Job {foreign.pk}." in page.text
    assert "Foreign run" not in page.text


def effect(*args: Any, **options: Any) -> str:
    out = StringIO()
    call_command("effect", *args, stdout=out, **options)
    return out.getvalue()


def test_the_command_tells_the_same(job: Job) -> None:
    text = effect(job.pk)
    assert text.startswith(SENTENCE)
    assert "Independent answers: 15\n  corrected: 12" in text
    found = json.loads(effect(job.pk, format="json"))
    assert conforms(found, schema="effect")
    assert (found["jobs"], found["all_answers"]["identified"]) == ([job.pk], 19)


def test_the_json_of_an_effect_without_answers_and_of_a_refusal_conforms(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    Identification.objects.all().delete()
    assert conforms(json.loads(effect(job.pk, format="json")), schema="effect")
    ended = run_command("ami.review", "effect", 10**12, "--format", "json", capsys=capsys)
    assert ended.code == 2
    assert conforms(ended.json, schema="effect")


def test_the_command_refuses_in_one_sentence(job: Job) -> None:
    assert job.project
    stranger = make_member(make_project(), Role.MANAGER, email="eve@example.org")
    for args, options, told in (
        ([job.pk + 1], {}, f"There is no Job {job.pk + 1}."),
        ([job.pk], {"person": stranger.email}, f"There is no Job {job.pk}."),
        ([job.pk], {"person": "nobody@example.org"}, "There is no active user"),
    ):
        with pytest.raises(CommandError, match=told):
            effect(*args, **options)


@pytest.mark.parametrize(
    ("p", "told"),
    [(0.00001, "p < .001"), (0.00904, "p = .009"), (0.25, "p = .25"), (1.0, "p = 1.00")],
)
def test_p_values_are_printed_as_usual(p: float, told: str) -> None:
    assert p_value(p) == told


@pytest.mark.django_db(transaction=True)
def test_the_sentence_arrives_on_the_page_of_the_job(
    page: Page, live_server: LiveServer, job: Job
) -> None:
    sign_in(page, live_server.url)
    page.goto(live_server.url + reverse("admin:jobs_job_change", args=[job.pk]))
    expect(page.locator("#effect")).to_contain_text(SENTENCE)

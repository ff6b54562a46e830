"""The page on which people judge a sample: who may use it, without and for its script."""

from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_member, make_project, make_taxon, make_user
from ami.jobs.engine import runner
from ami.jobs.models import Job
from ami.jobs.tests.reverting import make_night, run
from ami.main.access import Role
from ami.main.models import Occurrence, Project
from ami.review.models import Judgement, Sample, SampleItem
from ami.review.tests.samples import make_sample, make_species, sample_of
from config.tests.test_csp import broken_rules

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def identifier(client: Client, project: Project) -> Client:
    """An identifier who is not staff."""
    client.force_login(make_member(project, Role.IDENTIFIER, is_staff=False, name="Ada"))
    return client


def address(sample: Sample, page: str = "") -> str:
    return f"/admin/review/{sample.pk}/{page}"


def press(client: Client, sample: Sample, **fields: Any) -> str:
    """Submit a form as a browser without scripts does; return the text of the next page."""
    response = client.post(address(sample, "answer/"), fields, follow=True)
    assert response.status_code == 200
    return text_of(response)


def send(client: Client, sample: Sample, query: str = "", /, **fields: Any) -> Any:
    """Submit a form as the script does."""
    url = address(sample, f"answer/{query}")
    response = client.post(url, fields, headers={"Accept": "application/json"})
    assert response.status_code == 200
    return response.json()


def text_of(response: Any) -> str:
    content = BeautifulSoup(response.text, "html.parser").find(id="container")
    assert content
    return " ".join(content.get_text(" ").split())


def item(sample: Sample, position: int = 1) -> int:
    return sample.items.get(position=position).pk


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.VIEWER, 403), (Role.IDENTIFIER, 200), (Role.OPERATOR, 200), (None, 404)],
)
def test_who_may_review(client: Client, project: Project, role: Role | None, status: int) -> None:
    sample = make_sample(project)
    person = make_member(project, role, is_staff=False) if role else make_member(make_project())
    client.force_login(person)
    assert client.get(address(sample)).status_code == status
    assert client.get(address(sample, "taxa/")).status_code == status
    answered = client.post(address(sample, "answer/"), {"item": item(sample), "answer": "skipped"})
    assert answered.status_code == (302 if status == 200 else status)
    assert Judgement.objects.exists() == (status == 200)


def test_others_sign_in(client: Client) -> None:
    sample = make_sample()
    for response in (client.get(address(sample)), client.post(address(sample, "answer/"))):
        assert response.status_code == 302
        assert response.headers["Location"] == f"/admin/login/?next={address(sample)}"


def test_post_needs_a_token(project: Project) -> None:
    sample, client = make_sample(project), Client(enforce_csrf_checks=True)
    client.force_login(make_member(project, Role.IDENTIFIER))
    assert client.post(address(sample, "answer/"), {"answer": "undo"}).status_code == 403
    assert client.get(address(sample, "answer/")).status_code == 405


def test_a_sample_is_answered_without_scripts(identifier: Client, project: Project) -> None:
    sample, named = make_sample(project, items=3), make_species("Zale lunata")
    page = identifier.get(address(sample))
    assert broken_rules(page.text) == []
    assert "0 of 3 items done" in text_of(page)
    text = press(identifier, sample, item=item(sample), answer="named", taxon="zale LUNATA")
    name = sample.items.get(position=1).taxon
    assert f"Item 1: you say Zale lunata. {name} is wrong." in text
    assert "1 of 3 items done. Ada : 1 ." in text
    text = press(identifier, sample, item=item(sample, 2), answer="named", taxon_id=named.pk)
    text = press(identifier, sample, item=item(sample, 3), answer="skipped")
    assert "Item 3: skipped." in text
    assert "Nothing is left for you to answer." in text
    text = press(identifier, sample, answer="take_up")
    assert "1 item that you skipped can be answered again." in text
    assert "What is it?" in text
    text = press(identifier, sample, answer="undo")
    assert "Your answer about item 2 is taken back." in text
    assert str(sample.items.get(position=2).taxon) in text, "it was told before"


def test_a_blind_page_tells_no_name(identifier: Client, project: Project) -> None:
    sample = make_sample(project)
    names = [str(one.taxon) for one in sample.items.all()]
    for url in (address(sample), address(sample) + "?grid=1"):
        page = identifier.get(url).text
        assert not [name for name in names if name in page]
        assert 'value="right"' not in page
    reply = str(send(identifier, sample, item=item(sample), answer="skipped"))
    assert not [name for name in names if name in reply]
    text = press(identifier, sample, item=item(sample), answer="right")
    assert "The name is hidden. Show it first, or name the taxon yourself." in text
    text = press(identifier, sample, item=item(sample), answer="show")
    assert names[0] in text
    assert names[1] not in text
    text = press(identifier, sample, item=item(sample), answer="right")
    assert f"{names[0]} is right." in text
    assert not Judgement.objects.latest("pk").blind


def test_a_page_that_showed_the_name_is_believed(identifier: Client, project: Project) -> None:
    sample = make_sample(project)
    named = make_species("Zale lunata")
    press(identifier, sample, item=item(sample), answer="named", taxon_id=named.pk, seen="1")
    assert not Judgement.objects.get().blind


def test_the_script_gets_what_it_lacks(identifier: Client, project: Project) -> None:
    sample = make_sample(project, items=40)
    first, second = item(sample, 1), item(sample, 2)
    asked = {"item": first, "has": second, "more": "1", "seconds": "1.234"}
    reply = send(identifier, sample, answer="cannot_tell", **asked)
    assert [one["id"] for one in reply["items"]] == [item(sample, n) for n in range(3, 10)]
    assert len(reply["ahead"]) == 24
    assert all(url.endswith("/picture/?size=1280") for url in reply["ahead"])
    assert (reply["item"], reply["failed"], reply["end"]) == (None, False, "")
    assert "1 of 40 items done" in reply["progress"]
    assert Judgement.objects.get().seconds == 1.23
    reply = send(identifier, sample, answer="undo")
    assert "items" not in reply
    assert reply["item"]["id"] == first
    assert f'id="item-{first}"' in reply["item"]["html"]
    reply = send(identifier, sample, "?grid=1", answer="skipped", **asked)
    assert len(reply["items"]) == 31


def test_the_script_is_told_what_is_wrong(identifier: Client, project: Project) -> None:
    sample = make_sample(project, name="<b>")
    reply = send(identifier, sample, item=item(sample), answer="named", taxon="<Zale")
    assert reply["failed"]
    assert reply["told"].startswith("No taxon is named “&lt;Zale”.")
    assert reply["item"]["id"] == item(sample)
    Occurrence.objects.all().delete()
    reply = send(identifier, sample, item=item(sample), answer="cannot_tell", more=1)
    assert (
        "was deleted, merged into another one, or moved to another project; it is skipped."
        in reply["told"]
    )
    assert not reply["failed"]
    assert "Nothing is left" in reply["end"]
    assert "3 occurrences were deleted, merged or moved since" in reply["progress"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"answer": ""}, "The form has no valid answer."),
        ({"answer": "named"}, "Enter the name of a taxon."),
        ({"answer": "named", "taxon_id": "x"}, "The taxon no longer exists; enter another one."),
        ({"answer": "named", "taxon": "\x00"}, "Enter the name of a taxon."),
    ],
)
def test_odd_forms(identifier: Client, project: Project, fields: Any, told: str) -> None:
    sample = make_sample(project)
    assert told in press(identifier, sample, item=item(sample), **fields)
    assert not Judgement.objects.exists()


@pytest.mark.parametrize("seconds", ["", "x", "-1", "nan", "inf", "1e400", "999999"])
def test_odd_seconds_are_dropped(identifier: Client, project: Project, seconds: str) -> None:
    sample = make_sample(project)
    press(identifier, sample, item=item(sample), answer="skipped", seconds=seconds)
    assert Judgement.objects.get().seconds is None


def test_item_of_another_sample_is_not_found(identifier: Client, project: Project) -> None:
    sample, other = make_sample(project), make_sample()
    fields = {"item": item(other), "answer": "skipped"}
    assert identifier.post(address(sample, "answer/"), fields).status_code == 404
    assert identifier.get(f"{address(sample)}?item={item(other)}").status_code == 200


def test_identifications_need_their_permission(client: Client, project: Project) -> None:
    person = make_member(project, Role.VIEWER)
    person.user_permissions.add(Permission.objects.get(codename="add_judgement"))
    client.force_login(person)
    assert client.get(address(make_sample(project))).status_code == 403
    assert client.get(address(make_sample(project, identifies=False))).status_code == 200


def test_suggestions_begin_with_what_was_typed(identifier: Client, project: Project) -> None:
    for name in ("Actias luna", "Luna moth", "Zale lunata"):
        make_taxon(name=name)
    make_taxon(name="Luna gone", active=False)
    url = address(make_sample(project), "taxa/?q=")
    found = identifier.get(f"{url}luna").json()["taxa"]
    assert [one["name"] for one in found] == ["Luna moth", "Actias luna", "Zale lunata"]
    assert identifier.get(f"{url}%00").json() == {"taxa": []}


def test_project_page_leads_to_its_samples(identifier: Client, project: Project) -> None:
    sample = make_sample(project, items=4)
    press(identifier, sample, item=item(sample), answer="cannot_tell")
    page = identifier.get(f"/admin/main/project/{project.pk}/overview/")
    assert "Moths of June : 1 of 4 items answered" in text_of(page)
    assert f'href="{address(sample)}"' in page.text


def test_an_operator_puts_a_change_back(client: Client) -> None:
    capture_set, occurrence = make_night()
    job = run(capture_set)
    project = capture_set.project
    before = occurrence.determination
    source = {"source": Sample.Source.JOB, "source_id": job.pk}
    item = sample_of(Occurrence.objects.get(), project=project, blind=False, **source)
    SampleItem.objects.update(taxon_before=before)
    client.force_login(make_member(project, Role.IDENTIFIER))
    url = f"{address(item.sample)}?item={item.pk}"
    assert 'value="put_back"' not in client.get(url).text
    fields = {"item": item.pk, "answer": "put_back"}
    assert client.post(address(item.sample, "answer/"), fields).status_code == 403
    client.force_login(make_member(project, Role.OPERATOR))
    page = client.get(url).text
    assert 'value="put_back"' in page
    assert f"Before the run: <em>{before}</em>" in page
    assert f'href="/admin/review/sample/{item.sample_id}/change/"' in page
    text = press(client, item.sample, **fields)
    putting = Job.objects.latest("pk")
    assert f"Item 1: Not identifiable is wrong. Job {putting.pk} puts it back." in text
    assert "is being put back" in press(client, item.sample, **fields)
    runner.run(putting.pk)
    occurrence.refresh_from_db()
    assert occurrence.determination == before
    text = press(client, item.sample, answer="undo")
    assert f"Job {putting.pk}, which puts it back, stands; revert that Job" in text
    Job.objects.filter(pk=job.pk).update(dry_run=True)
    assert 'value="put_back"' not in client.get(url).text, "it wrote nothing"
    assert "was a dry run, which wrote nothing" in press(client, item.sample, **fields)
    Job.objects.filter(pk=job.pk).delete()
    assert 'value="put_back"' not in client.get(url).text
    assert "was deleted" in press(client, item.sample, **fields)
    assert [one.verdict for one in Judgement.objects.all()] == ["wrong"]


def test_a_blind_page_tells_the_name_before_the_run_only_with_the_present_one(
    identifier: Client, project: Project
) -> None:
    sample = make_sample(project, items=1, source=Sample.Source.JOB)
    sample.items.update(taxon_before=make_species("Zale lunata"))
    assert "Zale lunata" not in identifier.get(address(sample)).text
    assert "Zale lunata" in press(identifier, sample, item=item(sample), answer="show")


def test_an_answer_that_shows_no_item_does_not_look_at_the_job(client: Client) -> None:
    capture_set, _ = make_night()
    source = {"source": Sample.Source.JOB, "source_id": run(capture_set).pk}
    item = sample_of(Occurrence.objects.get(), project=capture_set.project, blind=False, **source)
    client.force_login(make_member(capture_set.project, Role.OPERATOR))
    with CaptureQueriesContext(connection) as context:
        send(client, item.sample, item=item.pk, answer="cannot_tell")
    assert not [query["sql"] for query in context if 'FROM "jobs_job"' in query["sql"]]


def test_an_answer_takes_few_queries(client: Client, project: Project) -> None:
    sample, named = make_sample(project, items=60), make_species("Zale lunata")
    client.force_login(make_user(is_superuser=True))
    send(client, sample, item=item(sample), answer="named", taxon_id=named.pk)
    with CaptureQueriesContext(connection) as context:
        send(client, sample, item=item(sample, 2), answer="named", taxon_id=named.pk)
    assert len(context) <= 26, [query["sql"] for query in context]
    with CaptureQueriesContext(connection) as context:
        send(client, sample, item=item(sample, 3), answer="named", taxon_id=named.pk, more="1")
    assert len(context) <= 35, [query["sql"] for query in context]
    with CaptureQueriesContext(connection) as context:
        client.get(address(sample) + "?grid=1")
    assert len(context) <= 25, [query["sql"] for query in context]

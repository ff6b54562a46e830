"""The audit: what is recorded of each act, who sees it, and how quickly."""

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ami.base.audit import NOBODY, Kind, record
from ami.base.tests.factories import make_project, make_taxon, make_user
from ami.main.access import Role
from ami.main.models import AuditNote, Identification, Occurrence, Project
from ami.main.tests.projects import make_members, populate
from ami.users.models import User

pytestmark = pytest.mark.django_db

LIST = "admin:main_auditnote_changelist"
MOST_QUERIES = 10


def audit(**filters: Any) -> list[tuple[str, str, str, str]]:
    """The kind, the person, the message and the reason of each entry, the oldest first."""
    notes = AuditNote.objects.filter(**filters).select_related("entry__user").order_by("pk")
    return [
        (note.kind, note.entry.user.email, note.entry.get_change_message(), note.reason)
        for note in notes
    ]


def test_an_act_without_a_person_names_the_system() -> None:
    project = make_project()
    record([project], kind=Kind.START, message="Started.")
    assert audit() == [("start", NOBODY, "Started.", "")]
    note = AuditNote.objects.get()
    assert note.project == project
    assert not note.entry.user.is_active
    assert not note.entry.user.check_password("!")


def test_recording_many_rows_takes_few_queries() -> None:
    project, user = make_project(), make_user()
    occurrences = Occurrence.objects.bulk_create(Occurrence(project=project) for _ in range(500))
    with CaptureQueriesContext(connection) as context:
        record(occurrences, kind=Kind.RECOMPUTE, user=user)
    assert len(context) <= 5  # the content type, a savepoint, and two inserts
    assert AuditNote.objects.filter(kind="recompute", project=project).count() == 500


@pytest.mark.parametrize("bulk", [False, True])
def test_a_deletion_has_a_reason(admin_client: Client, admin_user: User, bulk: bool) -> None:
    project = make_project(name="Old moths")
    reason = {"post": "yes", "reason": " Entered twice.\x00 "}
    if bulk:
        url = reverse("admin:main_project_changelist")
        asked = {"action": "delete_selected", "_selected_action": project.pk}
        assert 'name="reason"' in admin_client.post(url, asked).text
        admin_client.post(url, {**asked, **reason})
    else:
        url = reverse("admin:main_project_delete", args=[project.pk])
        assert 'name="reason"' in admin_client.get(url).text
        admin_client.post(url, reason)
    assert not Project.objects.exists()
    assert audit() == [("delete", admin_user.email, "Deleted.", "Entered twice.")]
    page = admin_client.get(reverse(LIST)).text
    assert "Old moths" in page
    assert f"Project {project.pk}, deleted" in page


def test_pages_of_other_apps_ask_for_a_reason(admin_client: Client) -> None:
    url = reverse("admin:users_user_delete", args=[make_user().pk])
    assert 'name="reason"' in admin_client.get(url).text


def test_a_person_whom_entries_name_cannot_be_deleted(admin_client: Client) -> None:
    user = make_user()
    record([make_project()], kind=Kind.CHANGE, user=user)
    url = reverse("admin:users_user_delete", args=[user.pk])
    assert "Audit entries name the person" in admin_client.get(url).text
    admin_client.post(url, {"post": "yes"})
    assert LogEntry.objects.filter(user=user).exists()


def test_a_project_with_many_entries_can_be_deleted(admin_client: Client, admin_user: User) -> None:
    project = make_project()
    record([project] * 1_500, kind=Kind.CHANGE, user=admin_user)
    admin_client.post(reverse("admin:main_project_delete", args=[project.pk]), {"post": "yes"})
    assert not Project.objects.exists()
    assert AuditNote.objects.filter(project=project.pk).count() == 1_501


def test_an_identification_is_recorded_of_the_occurrence(
    admin_client: Client, admin_user: User
) -> None:
    project, taxon = make_project(), make_taxon(name="Noctua pronuba")
    occurrence = Occurrence.objects.create(project=project)
    said = {"occurrence": occurrence.pk, "taxon": taxon.pk, "comment": "Wings."}
    admin_client.post(reverse("admin:main_identification_add"), {**said, "user": admin_user.pk})
    assert Identification.objects.exists()
    about = ("identify", admin_user.email, "Identified as Noctua pronuba.", "Wings.")
    assert audit(kind="identify") == [about]
    url = reverse("admin:main_occurrence_history", args=[occurrence.pk])
    history = admin_client.get(url).text
    assert "Identify: Identified as Noctua pronuba." in history
    assert "Wings." in history


def test_recomputing_is_recorded_of_each_occurrence(admin_client: Client, admin_user: User) -> None:
    project, taxon = make_project(), make_taxon()
    wrong, right = (Occurrence.objects.create(project=project) for _ in range(2))
    Occurrence.objects.filter(pk=wrong.pk).update(determination=taxon)
    asked = {"action": "recompute_determination", "_selected_action": [wrong.pk, right.pk]}
    admin_client.post(reverse("admin:main_occurrence_changelist"), asked)
    for row, told in ((wrong, "it changed"), (right, "it was correct")):
        about = ("recompute", admin_user.email, f"Recomputed; {told}.", "")
        assert audit(entry__object_id=str(row.pk)) == [about]
    assert AuditNote.objects.filter(project=project).count() == 2


@pytest.fixture
def two_projects() -> tuple[Project, Project]:
    own, foreign = make_project(name="Own"), make_project(name="Foreign")
    for project in (own, foreign):
        populate(project)
        record([project], kind=Kind.CHANGE, user=make_user(), message=f"Edited {project}.")
    return own, foreign


def test_managers_see_the_entries_of_their_projects(
    client: Client, two_projects: tuple[Project, Project]
) -> None:
    own, foreign = two_projects
    client.force_login(make_members(own)[Role.MANAGER])
    for page in (client.get(reverse(LIST)).text, csv_of(client)):
        assert "Edited Own." in page
        assert "Foreign" not in page
    query = {"project__id__exact": foreign.pk}
    unknown = {"project__id__exact": 999_999_999}
    assert rows_of(client, **query) == rows_of(client, **unknown) == []
    url = reverse("admin:main_auditnote_change", args=[AuditNote.objects.latest("pk").pk])
    assert client.get(url).status_code == 302


@pytest.mark.parametrize("role", [Role.VIEWER, Role.IDENTIFIER, Role.OPERATOR])
def test_others_see_no_entries(
    client: Client, two_projects: tuple[Project, Project], role: Role
) -> None:
    client.force_login(make_members(two_projects[0])[role])
    assert client.get(reverse(LIST)).status_code == 403
    assert client.get(reverse("admin:main_auditnote_csv")).status_code == 403


def test_filters(admin_client: Client, two_projects: tuple[Project, Project]) -> None:
    own, _ = two_projects
    person = make_user()
    record([own], kind=Kind.REVERT, user=person, message="The one.", reason="=1+1")
    AuditNote.objects.exclude(kind="revert").update(created_at=timezone.now() - timedelta(days=9))
    today = f"{timezone.now():%Y-%m-%d}"
    for query in (
        {"entry__user__id__exact": person.pk},
        {"project__id__exact": own.pk, "kind__exact": "revert"},
        {"kind__exact": "revert"},
        {"created_at__gte": today},
    ):
        assert rows_of(admin_client, **query) == ["The one."], query
        lines = csv.DictReader(csv_of(admin_client, **query).splitlines())
        assert [(line["what"], line["reason"]) for line in lines] == [("The one.", "'=1+1")]


def rows_of(client: Client, **query: Any) -> list[str]:
    page: Any = client.get(reverse(LIST), query)
    return [note.entry.get_change_message() for note in page.context["cl"].result_list]


def csv_of(client: Client, **query: Any) -> str:
    response: Any = client.get(reverse("admin:main_auditnote_csv"), query)
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode()


def test_the_page_takes_few_queries(client: Client, two_projects: tuple[Project, Project]) -> None:
    own, _ = two_projects
    client.force_login(make_members(own)[Role.MANAGER])
    person = make_user()
    record([own] * 100, kind=Kind.CHANGE, user=person)
    query = {"project__id__exact": own.pk, "entry__user__id__exact": person.pk}
    with CaptureQueriesContext(connection) as context:
        assert len(rows_of(client, **query)) == 100
    assert len(context) <= MOST_QUERIES, [query["sql"] for query in context]


@pytest.mark.parametrize(
    "odd", ["entry__user__id__exact=x", "kind__exact=%00", "created_at__gte=9"]
)
def test_odd_addresses_get_an_answer(admin_client: Client, odd: str) -> None:
    for name in (LIST, "admin:main_auditnote_csv"):
        assert admin_client.get(f"{reverse(name)}?{odd}").status_code in {200, 302}

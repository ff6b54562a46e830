"""The pages of errors: what they say, and that they look like the admin."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from ami.base.tests.factories import make_project, make_user
from ami.users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_user(is_staff=True))
    return client


def administrator(name: str, days: int | None = 0, **fields: Any) -> User:
    seen = None if days is None else timezone.now() - timedelta(days=days)
    return make_user(name=name, is_superuser=True, last_login=seen, **fields)


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("project/", "Can view project"),
        ("project/add/", "Can add project"),
        ("project/{pk}/change/", "Can view project"),
        ("project/{pk}/delete/", "Can delete project"),
        ("sourceimagecollection/", "Can view capture set"),
    ],
)
def test_person_without_rights_reads_what_is_missing(
    staff: Client, path: str, missing: str
) -> None:
    administrator("Ada Lovelace")
    page = staff.get(f"/admin/main/{path.format(pk=make_project().pk)}")
    assert page.status_code == 403
    assert f"This page needs the permission “{missing}”." in page.text
    assert "Ask an administrator of this site: Ada Lovelace." in page.text
    assert "AMI administration" in page.text


def test_administrators_who_signed_in_last_are_named(staff: Client) -> None:
    for name, days in (("A", 4), ("B", 1), ("C", 2), ("D", 3)):
        administrator(name, days)
    administrator("Never", None)
    administrator("Gone", 0, is_active=False)
    assert "of this site: B, C or D." in staff.get("/admin/main/project/").text


def test_where_no_administrator_has_signed_in_none_is_named(staff: Client) -> None:
    assert "Ask an administrator of this site." in staff.get("/admin/main/project/").text


def test_page_names_no_permission_that_the_person_has(client: Client) -> None:
    user = make_user(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_project"))
    client.force_login(user)
    form = {"name": "Another name"}
    page = client.post(f"/admin/main/project/{make_project().pk}/change/", form)
    assert page.status_code == 403
    assert "You have no permission for this page." in page.text


def test_page_that_is_not_there_says_what_may_have_happened(staff: Client) -> None:
    for path in ("/nowhere", "/admin/nowhere/", "/admin/jobs/job/9/log/"):
        page = staff.get(path)
        assert page.status_code in {403, 404}
    assert "was deleted, or belongs to a project" in staff.get("/nowhere").text


def test_stranger_reads_no_name(client: Client) -> None:
    administrator("Ada Lovelace")
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "There is no page at this address." in page.text
    assert "Ada" not in page.text
    assert "project" not in page.text


def test_error_of_the_server_is_told_without_the_database(
    client: Client, django_assert_num_queries: Any
) -> None:
    client.raise_request_exception = False
    with (
        patch("ami.jobs.watch.views.vitals", side_effect=RuntimeError("secret")),
        django_assert_num_queries(0),
    ):
        page = client.get("/healthz")
    assert page.status_code == 500
    assert "The server failed at 20" in page.text
    assert "UTC" in page.text
    assert "secret" not in page.text
    assert "AMI administration" in page.text


def test_form_without_a_token_is_told_what_to_do(db: None) -> None:
    page = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "a"})
    assert page.status_code == 403
    assert "Load the page with the form again" in page.text


def test_bad_request_is_told(client: Client) -> None:
    fields = {f"field-{number}": "" for number in range(20_001)}
    page = client.post("/admin/login/", fields)
    assert page.status_code == 400
    assert "The server did not understand the request." in page.text

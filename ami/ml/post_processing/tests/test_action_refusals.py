"""Users who may not run a method, and rows on which it cannot run."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client

from ami.jobs.models import Job
from ami.jobs.tests.admin import sign_in, told
from ami.main.access import Role
from ami.main.models import Project, SourceImageCollection
from ami.ml.post_processing.tests.clicks import RUN, SETS, confirm, post
from ami.ml.post_processing.tests.methods import make_scope
from ami.users.models import User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("step", [post, confirm])
class TestUnusableSelection:
    """Each step answers with a sentence on the list."""

    def refused(self, response: Any, *, words: str) -> None:
        assert (response.status_code, response.url) == (302, SETS)
        (message,) = told(response)
        assert words in message
        assert not Job.objects.exists()

    def test_empty(self, admin_client: Client, step: Any) -> None:
        self.refused(step(admin_client, []), words="No capture sets are selected")

    def test_vanished(self, admin_client: Client, step: Any) -> None:
        make_scope(1)
        self.refused(step(admin_client, [987654]), words="are no longer in this list")

    def test_left_out_by_a_filter(self, admin_client: Client, step: Any) -> None:
        row = make_scope(1)
        hiding = f"{SETS}?project__id__exact={row.project.pk + 1}"
        response = step(admin_client, [row.pk], url=hiding)
        assert (response.status_code, response.url) == (302, hiding)
        assert "the filters exclude them" in told(response)[0]
        assert not Job.objects.exists()

    @pytest.mark.parametrize(
        "pk", ["abc", "1e3", "-1", "1.5", "", " ", 2**63, 2**70, "9" * 5_000, "a\x00b", "²", "<b>"]
    )
    def test_garbage(self, admin_client: Client, step: Any, pk: Any) -> None:
        row = make_scope(1)
        self.refused(
            step(admin_client, [row.pk, pk]), words="is not the id of one of the capture sets"
        )

    def test_ten_thousand_rows(self, admin_client: Client, step: Any) -> None:
        self.refused(step(admin_client, range(1, 10_001)), words="10,000 capture sets are selected")

    def test_select_across(self, admin_client: Client, step: Any) -> None:
        row = make_scope(1)
        response = step(admin_client, [row.pk], select_across="1")
        self.refused(response, words="“Select all across pages” cannot be used here")
        (message,) = get_messages(response.wsgi_request)
        assert message.level_tag == "warning"


def test_view_only_staff_do_not_see_the_action(client: Client) -> None:
    sign_in(client, project=make_scope(1).project)
    response = client.get(SETS)
    assert response.status_code == 200
    assert RUN not in response.text


@pytest.mark.parametrize("also", [(), ("change_sourceimagecollection", "add_job")])
@pytest.mark.parametrize("step", [post, confirm])
def test_view_only_staff_cannot_run_it(client: Client, step: Any, also: tuple[str, ...]) -> None:
    row = make_scope(1)
    sign_in(client, *also, project=row.project)
    assert step(client, [row.pk]).status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("role", "permissions"), [(Role.OPERATOR, ()), (Role.VIEWER, ("run_small_size_filter",))]
)
def test_permission_to_run_the_method_is_what_it_takes(
    client: Client, role: Role, permissions: tuple[str, ...]
) -> None:
    row = make_scope(1)
    sign_in(client, *permissions, project=row.project, role=role)
    assert RUN in client.get(SETS).text
    assert post(client, [row.pk]).status_code == 200
    assert confirm(client, [row.pk]).status_code == 302
    assert Job.objects.count() == 1


def test_rows_of_other_projects_have_vanished(client: Client) -> None:
    own, foreign = make_scope(1), make_scope(1)
    sign_in(client, project=own.project, role=Role.OPERATOR)
    assert "are no longer in this list" in told(post(client, [foreign.pk]))[0]
    page = confirm(client, [own.pk, foreign.pk])
    assert "1 of the 2 selected capture sets are no longer in the list" in page.text
    assert not Job.objects.exists()


def test_rows_on_which_the_role_is_too_low_are_refused(client: Client) -> None:
    own, seen = make_scope(1), make_scope(1)
    sign_in(client, project=own.project, role=Role.OPERATOR)
    SourceImageCollection.objects.filter(pk=seen.pk).update(name="Seen")
    seen.project.members.add(User.objects.latest("pk"))
    (message,) = told(confirm(client, [own.pk, seen.pk]))
    assert message == (
        "Your role does not allow this for some of the selected capture sets: “Seen”. Nothing was "
        "done. Deselect them, or ask a manager of their project."
    )
    assert not Job.objects.exists()


def test_project_limits_its_methods(client: Client) -> None:
    row = make_scope(1)
    Project.objects.update(methods=["rank_rollup"])
    sign_in(client, project=row.project, role=Role.OPERATOR)
    listed = client.get(SETS).text
    assert RUN not in listed
    assert "run_rank_rollup" in listed
    assert confirm(client, [row.pk]).status_code == 403


def test_permissions_are_named_after_their_methods() -> None:
    found = dict(
        Permission.objects.filter(codename__startswith="run_").values_list("codename", "name")
    )
    assert found["run_small_size_filter"] == "Can run Small size filter"
    assert {"run_class_masking", "run_rank_rollup", "run_tracking"} < set(found)


def test_stranger_is_sent_to_the_login(client: Client) -> None:
    row = make_scope(1)
    response = confirm(client, [row.pk])
    assert response.status_code == 302
    assert "/admin/login/" in response.url
    assert not Job.objects.exists()

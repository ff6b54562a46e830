"""Who gets which answer from which address: every address, every role, own and foreign rows."""

import re
from collections.abc import Iterator
from inspect import unwrap
from typing import Any, NamedTuple

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from ami.base.guard import GuardedAdminMixin
from ami.base.scoped import ScopedAdminMixin, ScopedInlineMixin
from ami.base.tests.factories import make_algorithm, make_project, make_taxon, make_user
from ami.base.tests.snapshots import snapshot
from ami.jobs.models import Job, JobChange
from ami.main.access import Role
from ami.main.models import Identification, Occurrence, Project, SourceImageCollection
from ami.main.tests.projects import make_members, populate
from ami.ml.models import AlgorithmCategoryMap
from ami.users.models import User
from config.tests.access_tables import (
    ABOUT_ONESELF,
    ACTIONS,
    EVERY_PAGE,
    FOR_MEMBERS,
    MODELS,
    OF_PROJECTS,
    PUBLIC,
    Page,
    every_action,
    is_allowed,
    table,
)

pytestmark = pytest.mark.django_db

UNKNOWN = 999_999_999
OWN = "Abracadabra"
SITE: Any = admin.site
LISTED = {label for label, _, _ in every_action()}
MUTABLE = (Job, JobChange, Occurrence, Identification, Project, SourceImageCollection)


def addresses(patterns: list[Any], space: str = "") -> Iterator[tuple[str, Any]]:
    """Each address of the project: its name, or its pattern if it has none, and its view."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else space
            yield from addresses(pattern.url_patterns, inner)
        else:
            assert isinstance(pattern, URLPattern)
            name = pattern.name or str(pattern.pattern)
            yield f"{space}{name}" if pattern.name else name, pattern.callback


def test_every_address_states_its_rule() -> None:
    ruled = {f"admin:{page.name}" for page in EVERY_PAGE} | PUBLIC | ABOUT_ONESELF | FOR_MEMBERS
    for name, view in addresses(get_resolver().url_patterns):
        owner = getattr(unwrap(view), "__self__", None)
        is_redirect = name == "<path:object_id>/"  # of old addresses of Django, to the page
        assert name in ruled or is_redirect, f"{name} is in no table of this file"
        if isinstance(owner, admin.ModelAdmin):
            assert isinstance(owner, GuardedAdminMixin), f"{name} does not hide foreign rows"


def test_every_admin_and_inline_is_scoped() -> None:
    for model, model_admin in SITE._registry.items():
        assert isinstance(model_admin, ScopedAdminMixin), model
        for inline in model_admin.inlines:
            if hasattr(inline.model, "project_path"):
                assert issubclass(inline, ScopedInlineMixin), inline


def test_every_model_and_action_is_in_a_table() -> None:
    assert {row["model"] for row in table(MODELS)} == {
        model._meta.label_lower for model in SITE._registry
    }
    listed = {(row["model"], row["action"]) for row in table(ACTIONS)}
    for model, model_admin in SITE._registry.items():
        for name in actions_of(model_admin):
            key = (model._meta.label_lower, re.sub(r"^run_(?!jobs_again).*", "run_*", name))
            known = (
                key in listed
                or name == "delete_selected"
                or key[0].startswith(("django_", "axes."))
            )
            assert known, key


def actions_of(model_admin: Any) -> list[str]:
    request = RequestFactory().get("/")
    request.user = make_user(is_superuser=True)
    return list(model_admin.get_actions(request))


class World:
    """Two projects with rows, their members, and other people."""

    def __init__(self) -> None:
        self.own, self.foreign = make_project(name=OWN), make_project(name="Hocuspocus")
        self.rows = {**self.shared(), **populate(self.own)}
        populate(self.foreign)
        holder = make_user(is_staff=True)
        holder.user_permissions.set(Permission.objects.all())
        self.people: dict[str, User | None] = {
            "anonymous": None,
            "user": make_user(),
            "staff": make_user(is_staff=True),
            **make_members(self.own),
            **{f"foreign {role}": who for role, who in make_members(self.foreign).items()},
            "holder": holder,
            "superuser": make_user(is_staff=True, is_superuser=True),
        }

    def shared(self) -> dict[str, Any]:
        return {
            "main.taxon": make_taxon(),
            "ml.algorithm": make_algorithm(),
            "ml.algorithmcategorymap": AlgorithmCategoryMap.objects.create(),
            "users.user": make_user(),
        }

    def pk(self, label: str) -> int:
        return self.rows[label].pk if label in self.rows else UNKNOWN


@pytest.fixture(scope="module")
def world(module_db: None) -> World:
    return World()


class Answer(NamedTuple):
    status: int
    location: str
    text: str

    @property
    def kind(self) -> str:
        if self.status == 302 and self.location.startswith("/admin/login/"):
            return "login"
        return "refused" if self.status == 403 else "answered"


def ask(client: Client, method: str, url: str, **data: Any) -> Answer:
    """The answer to a request, whose changes are rolled back."""
    with transaction.atomic():
        response: Any = client.generic(method, url) if not data else client.post(url, data)
        if response.streaming:
            text = b"".join(response.streaming_content).decode()
        else:
            text = response.text
        transaction.set_rollback(True)
    location = response.headers.get("Location", "")
    client.cookies.pop("messages", None)
    return Answer(response.status_code, location, text)


def ask_page(client: Client, method: str, page: Page, pk: int) -> Answer:
    data = {"post": "yes"} if method == "POST" else {}
    return ask(client, method, page.url(pk), **data)


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.integrity.admin.runs.data_integrity_check.delay", lambda *a, **k: None)


PEOPLE = (
    "anonymous",
    "user",
    "staff",
    *Role.values,
    *(f"foreign {role}" for role in Role.values),
    "holder",
    "superuser",
)
# People whose rights to shared rows lie between those of others, which are tested.
MIDDLE = {"identifier", "operator", "foreign viewer", "foreign identifier", "foreign operator"}
OUTSIDERS = {"staff", "holder", *(f"foreign {role}" for role in Role.values)}


@pytest.mark.usefixtures("no_broker")
@pytest.mark.parametrize("who", PEOPLE)
def test_answers_to_everyone(client: Client, world: World, who: str) -> None:
    if person := world.people[who]:
        client.force_login(person)
    faults = [
        f"{method} {page.name}: {fault}"
        for page in EVERY_PAGE
        if page.label in world.rows or (who not in MIDDLE and not page.has_row)
        for method in ("GET", "POST")
        for fault in faults_of(client, who, page, method, world)
    ]
    assert not faults, "\n".join(faults)


def faults_of(client: Client, who: str, page: Page, method: str, world: World) -> Iterator[str]:
    pk = world.pk(page.label)
    answer = ask_page(client, method, page, pk)
    if who in {"anonymous", "user"}:
        if answer.kind != "login":
            yield f"{answer.kind}, but must lead to the login"
        return
    if who in OUTSIDERS and OWN in answer.text:
        yield "tells of a foreign row"
    if who in OUTSIDERS and page.label in OF_PROJECTS and page.has_row:
        unknown = ask_page(client, method, page, UNKNOWN)
        if forget(answer, pk) != forget(unknown, UNKNOWN):
            yield f"{answer.status} {answer.location}, but of an unknown id {unknown.status}"
    elif (answer.kind == "answered") != is_allowed(who, page.needs[method]):
        yield f"{answer.status} where it needs {page.needs[method]}"


def forget(answer: Answer, pk: int) -> list[str]:
    """An answer without what differs between two requests for different ids."""
    text = re.sub(r'((csrfmiddlewaretoken|launch_key)" value=)"[^"]*"', "", answer.text)
    # Elsewhere, such as in the sizes of icons, the same number is not the id.
    shown = rf"(?<=[/“]){pk}(?=[/”])|(?<=Job ){pk}\b|(?<=run ){pk}\b"
    return [re.sub(shown, "ID", part) for part in (str(answer.status), answer.location, text)]


@pytest.mark.parametrize("who", [who for who in PEOPLE if who not in {"anonymous", "user"}])
def test_actions_of_everyone(client: Client, world: World, who: str) -> None:
    person = world.people[who]
    assert person is not None
    client.force_login(person)
    before = snapshot(*MUTABLE)
    lists = {label: client.get(list_of(label)).text for label in world.rows if label in LISTED}
    for label, action, needs in every_action():
        if label not in lists:
            continue
        may = is_allowed(who, needs)
        assert (f'value="{action}"' in lists[label]) == may, (label, action)
        if not may or (who in OUTSIDERS and label in OF_PROJECTS):
            assert rows_after(client, label, action, world.pk(label)) == before, (label, action)


def list_of(label: str) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


def rows_after(client: Client, label: str, action: str, pk: int) -> dict[str, list[Any]]:
    """The rows after an action, which is rolled back."""
    data = {"action": action, "_selected_action": str(pk), "post": "yes", "index": "0"}
    with transaction.atomic():
        client.post(list_of(label), data)
        after = snapshot(*MUTABLE)
        transaction.set_rollback(True)
    return after


@pytest.mark.parametrize("label", sorted(OF_PROJECTS))
def test_lists_of_members_take_few_queries(client: Client, world: World, label: str) -> None:
    for number in range(3):
        project = make_project(name=f"Further {number}")
        populate(project)
        project.members.add(world.people["viewer"], through_defaults={"role": Role.MANAGER})  # type: ignore[arg-type]
    client.force_login(world.people["viewer"])  # type: ignore[arg-type]
    with CaptureQueriesContext(connection) as context:
        listed: Any = client.get(list_of(label))
    assert len(listed.context["cl"].result_list) == 4
    assert len(context) <= 10, [query["sql"] for query in context]

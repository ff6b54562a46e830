"""The lists of people who are members of one project or of several."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.admin import BoundedPaginator
from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_detection,
    make_member,
    make_occurrence,
    make_project,
)
from ami.base.tests.plans import explain
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    Project,
    SourceImage,
)
from ami.users.models import User

pytestmark = pytest.mark.django_db

LISTS: list[Any] = [Classification, Detection, Identification, Occurrence, SourceImage]
each_list = pytest.mark.parametrize("model", LISTS)


@pytest.fixture
def projects() -> list[Project]:
    """Two projects of a person and a foreign one, whose rows have ids in turns."""
    made = [make_project() for _ in range(3)]
    for number in range(9):
        capture = make_capture(project=made[number % 3])
        make_classification(detection=make_detection(source_image=capture))
        occurrence = make_occurrence(project=made[number % 3])
        Identification.objects.create(occurrence=occurrence)
    return made


@pytest.fixture
def member(projects: list[Project]) -> User:
    user = make_member(projects[0])
    projects[1].members.add(user)
    return user


def read(user: User, model: Any, **query: Any) -> tuple[Any, list[str]]:
    """Return the list as a person sees it, and its queries."""
    client = Client()
    client.force_login(user)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(reverse(f"admin:main_{model._meta.model_name}_changelist"), query)
    return page.context["cl"], [one["sql"] for one in queries]


def ids_of(rows: Any) -> list[int]:
    return [row.pk for row in rows]


@each_list
def test_list_shows_the_rows_of_all_projects_of_a_person(
    member: User, projects: list[Project], model: Any
) -> None:
    shown, queries = read(member, model)

    own = model.objects.filter(project__in=projects[:2]).order_by("-pk")
    assert ids_of(shown.result_list) == ids_of(own)
    assert shown.result_count == 6
    assert len(queries) <= 10


@each_list
def test_list_of_several_projects_is_read_once_by_the_index(member: User, model: Any) -> None:
    _, queries = read(member, model)

    (union,) = [query for query in queries if "UNION ALL" in query and "own" in query]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    nodes = {node["Node Type"] for node in explain(union)}
    assert nodes <= {"Limit", "Merge Append", "Subquery Scan", "Index Only Scan"}


@pytest.mark.parametrize("page", [1, 2, 3])
def test_pages_of_a_long_list(
    member: User, projects: list[Project], monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(BoundedPaginator, "LIMIT", 5)
    monkeypatch.setattr("ami.main.admin.detection.DetectionAdmin.list_per_page", 2)

    shown, _ = read(member, Detection, p=page)

    own = Detection.objects.filter(project__in=projects[:2]).order_by("-pk")[:5]
    assert ids_of(shown.result_list) == ids_of(own)[2 * (page - 1) : 2 * page]
    assert (shown.result_count, shown.has_more) == (5, True)


@pytest.mark.parametrize("query", [{"detection_score__gte": "0"}, {"o": "-1"}, {"all": ""}])
def test_lists_with_options_show_no_foreign_rows(
    member: User, projects: list[Project], query: dict[str, str]
) -> None:
    Detection.objects.update(detection_score=0.5)

    shown, _ = read(member, Detection, **query)

    own = Detection.objects.filter(project__in=projects[:2])
    assert sorted(ids_of(shown.result_list)) == sorted(ids_of(own))


def test_search_is_limited_to_the_projects(member: User, projects: list[Project]) -> None:
    foreign = Detection.objects.filter(project=projects[2])[0]

    shown, _ = read(member, Detection, q=foreign.pk)

    assert ids_of(shown.result_list) == []


def test_newest_ids_are_read_only_of_all_rows_of_several_projects(
    member: User, projects: list[Project]
) -> None:
    rows = Detection.objects.for_user(member)
    one = Detection.objects.for_user(make_member(projects[0]))

    assert rows.newest_ids(2) == ids_of(rows.order_by("-pk")[:2])
    assert rows.filter(path="").newest_ids(2) is None
    assert one.newest_ids(2) is None
    assert (
        Detection.objects.for_user(make_member(projects[0], is_superuser=True)).newest_ids(2)
        is None
    )


def test_rows_are_found_by_their_own_column(member: User) -> None:
    for model in LISTS:
        assert "JOIN" not in str(model.objects.for_user(member).query)

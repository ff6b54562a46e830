"""`make_post_processing_action`, used on its own in a ModelAdmin's `actions`."""

from typing import Any

import pytest
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory
from django.urls import path

from ami.base.tests.factories import make_user
from ami.jobs.admin import JobAdmin
from ami.jobs.models import Job
from ami.jobs.tests.admin import told
from ami.main.models import Occurrence, Project
from ami.ml.post_processing.admin import (
    ConfigValidationErrors,
    default_build_jobs,
    make_post_processing_action,
)
from ami.ml.post_processing.admin.small_size_filter_form import SmallSizeFilterActionForm
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.clicks import RUN, confirm, post
from ami.ml.post_processing.tests.methods import make_scope
from ami.users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
OCCURRENCES = "/own/main/occurrence/"
CALLS: list[dict[str, Any]] = []


def build_jobs(**keywords: Any) -> list[int]:
    CALLS.append(keywords)
    if keywords["config"]["size_threshold"] > 0.9:
        raise ConfigValidationErrors([("size_threshold", "Too much."), (None, "All wrong.")])
    return [Job.objects.create(name="By hand").pk]


def occurrence_of(row: Any) -> dict[str, Any]:
    return {"occurrence_id": row.pk}


def shared_project(row: Any) -> Project | None:
    return None


PLAIN = make_post_processing_action(
    SmallSizeFilterTask,
    SmallSizeFilterActionForm,
    scope_resolver=occurrence_of,
    project_resolver=shared_project,
    name_resolver=lambda task_cls, row: f"{task_cls.key} {row.pk}",
)
CUSTOM = make_post_processing_action(
    SmallSizeFilterTask,
    SmallSizeFilterActionForm,
    build_jobs=build_jobs,
    description="Filter by hand",
    title="By hand",
    submit_label="Go ahead",
)


class OccurrenceAdmin(admin.ModelAdmin[Occurrence]):
    actions = (PLAIN,)


class CustomAdmin(admin.ModelAdmin[Occurrence]):
    actions = (CUSTOM,)


site = admin.AdminSite(name="admin")
site.register(Occurrence, OccurrenceAdmin)
site.register(Job, JobAdmin)
custom_site = admin.AdminSite(name="custom")
custom_site.register(Occurrence, CustomAdmin)
urlpatterns = [path("own/", site.urls), path("custom/", custom_site.urls)]


@pytest.fixture
def occurrence(admin_user: User) -> Occurrence:
    CALLS.clear()
    make_scope(1)
    return Occurrence.objects.get()


@pytest.mark.parametrize("options", [{}, {"build_jobs": default_build_jobs}])
def test_scope_resolver_or_build_jobs_must_be_given(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="scope_resolver"):
        make_post_processing_action(SmallSizeFilterTask, SmallSizeFilterActionForm, **options)


def test_action_is_named_after_its_method() -> None:
    assert PLAIN.__name__ == "run_small_size_filter"
    assert PLAIN.short_description == "Run Small size filter post-processing task (async)"
    assert PLAIN.title == "Run Small size filter"
    assert (CUSTOM.short_description, CUSTOM.title) == ("Filter by hand", "By hand")


def test_admins_with_the_action_pass_djangos_checks() -> None:
    assert OccurrenceAdmin(Occurrence, site).check() == []
    assert CustomAdmin(Occurrence, custom_site).check() == []


def test_action_works_without_the_mixin(admin_client: Client, occurrence: Occurrence) -> None:
    assert PLAIN.short_description in admin_client.get(OCCURRENCES).text
    assert "Run Small size filter" in post(admin_client, [occurrence.pk], url=OCCURRENCES).text
    response = confirm(admin_client, [occurrence.pk], url=OCCURRENCES)
    job = Job.objects.get()
    assert (job.name, job.project) == (f"small_size_filter {occurrence.pk}", None)
    assert f'<a href="/own/jobs/job/{job.pk}/change/">Job {job.pk}</a>' in told(response)[0]


@pytest.mark.parametrize("step", [post, confirm])
def test_select_across_is_refused_without_the_mixin(
    admin_client: Client, occurrence: Occurrence, step: Any
) -> None:
    response = step(admin_client, [occurrence.pk], url=OCCURRENCES, select_across="1")
    assert response.status_code == 302
    assert "“Select all across pages” cannot be used here" in told(response)[0]


@pytest.mark.parametrize("pk", [2**63, 2**70, 987654])
def test_unknown_ids_are_refused_without_the_mixin(
    admin_client: Client, occurrence: Occurrence, pk: int
) -> None:
    assert post(admin_client, [pk], url=OCCURRENCES).status_code == 302
    assert not Job.objects.exists()


def test_permission_is_asked_for_without_the_mixin(occurrence: Occurrence) -> None:
    request = RequestFactory().post("/")
    request.user = make_user(is_staff=True)
    with pytest.raises(PermissionDenied):
        PLAIN(admin.ModelAdmin(Occurrence, admin.site), request, Occurrence.objects.all())


def test_custom_build_jobs_gets_the_same_keywords(
    admin_client: Client, occurrence: Occurrence
) -> None:
    """The site has no page for Jobs, so the message names the Job without a link."""
    url = "/custom/main/occurrence/"
    page = post(admin_client, [occurrence.pk], url=url).text
    assert "By hand" in page
    assert 'value="Go ahead"' in page
    response = confirm(admin_client, [occurrence.pk], url=url)
    (keywords,) = CALLS
    assert set(keywords) == {
        "model_admin",
        "request",
        "config",
        "queryset",
        "task_cls",
        "form_field_names",
        "project_resolver",
        "name_resolver",
    }
    assert keywords["config"] == {"size_threshold": 0.003}
    assert list(keywords["queryset"]) == [occurrence]
    assert keywords["form_field_names"] == ["size_threshold"]
    assert keywords["task_cls"] is SmallSizeFilterTask
    assert f"Job {Job.objects.get().pk}" in told(response)[0]


def test_custom_build_jobs_may_refuse(admin_client: Client, occurrence: Occurrence) -> None:
    response = confirm(
        admin_client, [occurrence.pk], url="/custom/main/occurrence/", size_threshold="0.95"
    )
    assert response.status_code == 200
    assert response.context["adminform"].form.errors == {
        "size_threshold": ["Too much."],
        "__all__": ["All wrong."],
    }
    assert RUN in response.text


def test_scope_resolver_is_handed_on_where_given(admin_user: User) -> None:
    action = make_post_processing_action(
        SmallSizeFilterTask,
        SmallSizeFilterActionForm,
        scope_resolver=occurrence_of,
        build_jobs=build_jobs,
    )
    assert action.resolvers["scope_resolver"] is occurrence_of


def build_without_request(**config: Any) -> list[int]:
    return default_build_jobs(
        request=None,
        model_admin=None,
        config=config,
        queryset=Occurrence.objects.all(),
        task_cls=SmallSizeFilterTask,
        form_field_names={"size_threshold"},
        scope_resolver=occurrence_of,
        project_resolver=lambda row: row.project,
        name_resolver=lambda task_cls, row: f"{task_cls.name} {row.pk}",
    )


def test_jobs_are_built_without_a_request(published: list[Any]) -> None:
    make_scope(1, 1)
    jobs = Job.objects.in_bulk(build_without_request(size_threshold=0.5))
    assert {(job.name, job.user, job.dry_run) for job in jobs.values()} == {
        (f"Small size filter {row.pk}", None, False) for row in Occurrence.objects.all()
    }
    with pytest.raises(ConfigValidationErrors) as refused:
        build_without_request(size_threshold=7, treshold=1)
    assert [option for option, _ in refused.value.errors] == ["size_threshold", None]
    assert Job.objects.count() == 2

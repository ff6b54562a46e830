from itertools import pairwise
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Permission
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_member,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.jobs.models import Job
from ami.main.access import RIGHTS, RUN, Role, visible_projects
from ami.main.models import Event, Membership, Project, TaxaList
from ami.main.tests.projects import populate

pytestmark = pytest.mark.django_db

OWN: list[Any] = [model for model in apps.get_models() if model.__module__.startswith("ami.")]
OF_PROJECTS = [model for model in OWN if hasattr(model, "project_path") and model is not TaxaList]
SHARED = {
    "main.taxon",
    "main.taxalist",
    "ml.algorithm",
    "ml.algorithmcategorymap",
    "users.user",
    "jobs.basis",
    "jobs.pulse",
}


def test_each_model_belongs_to_projects_or_is_shared() -> None:
    assert {model._meta.label_lower for model in OWN if model not in OF_PROJECTS} == SHARED
    assert {model for model in OWN if hasattr(model.objects.all(), "for_user")} == {
        *OF_PROJECTS,
        TaxaList,
    }


class TestRows:
    def test_member_sees_the_rows_of_their_project_only(self) -> None:
        own, foreign = make_project(), make_project()
        for project in (own, foreign, None):
            populate(project)
        user = make_member(own, Role.VIEWER)
        make_member(foreign, Role.VIEWER)
        for model in OF_PROJECTS:
            rows = model._default_manager.for_user(user)
            assert rows.values_list(model.project_path, flat=True).get() == own.pk, model

    def test_superuser_sees_all_rows_and_strangers_see_none(self) -> None:
        project = make_project()
        for of in (project, None):
            populate(of)
        everyone = (make_user(is_superuser=True), make_user(is_staff=True), AnonymousUser())
        Project.objects.update(owner=None)
        for model in OF_PROJECTS:
            seen = [model._default_manager.for_user(who).count() for who in everyone]
            assert seen == [model._default_manager.count(), 0, 0], model

    def test_taxa_list_without_a_project_is_shared(self) -> None:
        own, foreign = make_project(), make_project()
        lists = {name: TaxaList.objects.create(name=name) for name in ("shared", "own", "foreign")}
        lists["own"].projects.add(own, foreign)
        lists["foreign"].projects.add(foreign)
        user = make_member(own, Role.MANAGER)
        assert {one.name for one in TaxaList.objects.for_user(user)} == {"shared", "own"}
        assert not TaxaList.objects.for_user(user, "main.change_taxalist")
        assert user.has_perm("main.view_taxalist", lists["own"])
        assert user.has_perm("main.view_taxalist", lists["shared"])
        assert not user.has_perm("main.view_taxalist", lists["foreign"])
        assert not user.has_perm("main.change_taxalist", lists["own"])

    def test_permission_narrows_rows_to_the_projects_that_grant_it(self) -> None:
        seen, run = make_project(), make_project()
        user = make_member(seen, Role.VIEWER)
        run.members.add(user, through_defaults={"role": Role.OPERATOR})
        assert visible_projects(user) == {seen.pk, run.pk}
        assert visible_projects(user, "jobs.add_job") == {run.pk}
        assert list(Project.objects.for_user(user, "jobs.add_job")) == [run]

    def test_is_worked_out_once_per_request(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        user = make_member(make_project(), Role.VIEWER)
        with django_assert_num_queries(2):
            list(Project.objects.for_user(user))
            visible_projects(user)
        with django_assert_num_queries(1):
            list(Event.objects.for_user(user))


class TestRoles:
    def test_members_are_viewers_by_default(self) -> None:
        project, user = make_project(), make_user()
        project.members.add(user)
        assert Membership.objects.get().role == Role.VIEWER
        assert list(user.projects.all()) == [project]

    def test_owner_is_a_manager_with_any_membership(self) -> None:
        owner = make_user()
        project = make_project(owner=owner)
        project.members.add(owner)
        assert owner.has_perm("main.delete_project", project)
        assert not owner.has_perm("main.delete_project", make_project())

    def test_each_role_has_the_rights_of_the_one_before(self) -> None:
        rights = [RIGHTS[role] for role in Role]
        assert all(less < more for less, more in pairwise(rights))

    def test_rights_are_permissions_that_exist(self) -> None:
        known = {
            f"{app}.{codename}"
            for app, codename in Permission.objects.values_list(
                "content_type__app_label", "codename"
            )
        }
        assert known >= RIGHTS[Role.MANAGER]

    @pytest.mark.parametrize("role", Role)
    def test_rights_hold_for_the_rows_of_the_project(self, role: Role) -> None:
        own, foreign = make_project(), make_project()
        user = make_member(own, role)
        rows = [make_occurrence(deployment=make_deployment(project=p)) for p in (own, foreign)]
        for perm in RIGHTS[Role.MANAGER]:
            held = [user.has_perm(perm), *(user.has_perm(perm, row) for row in rows)]
            assert held == [perm in RIGHTS[role], perm in RIGHTS[role], False], perm

    def test_model_permission_holds_for_the_rows_that_a_person_sees(self) -> None:
        own, foreign = make_project(), make_project()
        user = make_member(own, Role.VIEWER)
        user.user_permissions.add(Permission.objects.get(codename="delete_project"))
        assert user.has_perm("main.delete_project", own)
        assert not user.has_perm("main.delete_project", foreign)

    def test_rows_reach_their_project_through_others(self) -> None:
        own = make_project()
        capture = make_capture(deployment=make_deployment(project=own))
        classification = make_classification(detection=make_detection(source_image=capture))
        user, stranger = make_member(own, Role.VIEWER), make_member(make_project(), Role.MANAGER)
        assert user.has_perm("main.view_classification", classification)
        assert not stranger.has_perm("main.view_classification", classification)

    def test_row_without_a_project_is_for_superusers(self) -> None:
        job = Job.objects.create(name="Orphan")
        user = make_member(make_project(), Role.MANAGER)
        user.user_permissions.set(Permission.objects.all())
        assert not user.has_perm("jobs.view_job", job)
        assert make_user(is_superuser=True).has_perm("jobs.view_job", job)

    def test_catalogue_is_for_all_staff_to_read(self) -> None:
        taxon = make_taxon()
        staff, person = make_user(is_staff=True), make_user()
        assert staff.has_perm("main.view_taxon", taxon)
        assert staff.has_module_perms("ml")
        assert not staff.has_perm("main.change_taxon", taxon)
        assert not person.has_perm("main.view_taxon", taxon)

    def test_inactive_and_anonymous_people_have_no_rights(self) -> None:
        project = make_project(owner=make_user(is_staff=True, is_active=False))
        assert project.owner is not None
        assert not project.owner.has_perm("main.view_project", project)
        assert not project.owner.has_module_perms("main")
        assert not AnonymousUser().has_perm("main.view_project", project)


class TestMethods:
    def test_operator_may_run_all_methods(self) -> None:
        project = make_project()
        assert make_member(project, Role.OPERATOR).has_perm(f"{RUN}tracking", project)
        assert make_member(project, Role.MANAGER).has_perm(f"{RUN}tracking", project)
        assert not make_member(project, Role.IDENTIFIER).has_perm(f"{RUN}tracking", project)

    def test_project_limits_the_methods(self) -> None:
        project = make_project(methods=["rank_rollup"])
        user = make_member(project, Role.OPERATOR)
        assert user.has_perm(f"{RUN}rank_rollup", project)
        assert not user.has_perm(f"{RUN}tracking", project)
        assert not user.has_perm(f"{RUN}tracking")

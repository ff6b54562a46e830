from itertools import pairwise

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.integrity.models import IntegrityAcknowledgement, IntegrityResult, IntegrityRun
from ami.jobs.models import Job, JobChange, JobLog, JobPart
from ami.main.access import RIGHTS, RUN, Role, visible_projects
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Membership,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    TaxaList,
)
from ami.users.models import User

pytestmark = pytest.mark.django_db

OF_PROJECTS = (
    Project,
    Membership,
    Deployment,
    Event,
    SourceImage,
    SourceImageCollection,
    Detection,
    Classification,
    Occurrence,
    Identification,
    Job,
    JobPart,
    JobLog,
    JobChange,
    IntegrityRun,
    IntegrityResult,
    IntegrityAcknowledgement,
)


def populate(project: Project | None) -> None:
    """Create a row of each model in `OF_PROJECTS`, except memberships."""
    deployment = make_deployment(project=project) if project else Deployment.objects.create(name="")
    night = Event.objects.create(deployment=deployment, project=project, group_by="2022-06-20")
    capture = make_capture(deployment=deployment, event=night)
    if project:
        make_capture_set([capture])
    occurrence = make_occurrence(deployment=deployment, event=night)
    make_classification(detection=make_detection(source_image=capture, occurrence=occurrence))
    Identification.objects.create(occurrence=occurrence)
    job = Job.objects.create(name="Run", project=project)
    JobPart.objects.create(job=job, number=1)
    JobLog.objects.create(job=job, message="Line")
    JobChange.objects.create(job=job, batch=1, kind="created", model="main.event", object_id=1)
    run = IntegrityRun.objects.create(project=project)
    IntegrityResult.objects.create(run=run, key="orphan_name", severity="error")
    IntegrityAcknowledgement.objects.create(
        key="orphan_name", project=project, reason="Known", expires_on="2999-01-01"
    )


def member(role: Role, *projects: Project) -> User:
    user = make_user(is_staff=True)
    for project in projects:
        project.members.add(user, through_defaults={"role": role})
    return user


class TestRows:
    def test_member_sees_the_rows_of_their_project_only(self) -> None:
        own, foreign = make_project(), make_project()
        for project in (own, foreign, None):
            populate(project)
        user = member(Role.VIEWER, own)
        member(Role.VIEWER, foreign)
        for model in OF_PROJECTS:
            rows = model._default_manager.for_user(user)  # type: ignore[attr-defined]
            assert rows.values_list(model.project_path, flat=True).get() == own.pk, model

    def test_superuser_sees_all_rows_and_strangers_see_none(self) -> None:
        project = make_project()
        for of in (project, None):
            populate(of)
        everyone = (make_user(is_superuser=True), make_user(is_staff=True), AnonymousUser())
        Project.objects.update(owner=None)
        for model in OF_PROJECTS:
            seen = [model._default_manager.for_user(who).count() for who in everyone]  # type: ignore[attr-defined]
            assert seen == [model._default_manager.count(), 0, 0], model

    def test_taxa_list_without_a_project_is_shared(self) -> None:
        own, foreign = make_project(), make_project()
        lists = {name: TaxaList.objects.create(name=name) for name in ("shared", "own", "foreign")}
        lists["own"].projects.add(own, foreign)
        lists["foreign"].projects.add(foreign)
        user = member(Role.MANAGER, own)
        assert {one.name for one in TaxaList.objects.for_user(user)} == {"shared", "own"}
        assert not TaxaList.objects.for_user(user, "main.change_taxalist")
        assert user.has_perm("main.view_taxalist", lists["own"])
        assert user.has_perm("main.view_taxalist", lists["shared"])
        assert not user.has_perm("main.view_taxalist", lists["foreign"])
        assert not user.has_perm("main.change_taxalist", lists["own"])

    def test_permission_narrows_rows_to_the_projects_that_grant_it(self) -> None:
        seen, run = make_project(), make_project()
        user = member(Role.VIEWER, seen)
        run.members.add(user, through_defaults={"role": Role.OPERATOR})
        assert visible_projects(user) == {seen.pk, run.pk}
        assert visible_projects(user, "jobs.add_job") == {run.pk}
        assert list(Project.objects.for_user(user, "jobs.add_job")) == [run]

    def test_is_worked_out_once_per_request(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        user = member(Role.VIEWER, make_project())
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
        user = member(role, own)
        rows = [make_occurrence(deployment=make_deployment(project=p)) for p in (own, foreign)]
        for perm in RIGHTS[Role.MANAGER]:
            held = [user.has_perm(perm), *(user.has_perm(perm, row) for row in rows)]
            assert held == [perm in RIGHTS[role], perm in RIGHTS[role], False], perm

    def test_model_permission_holds_for_the_rows_that_a_person_sees(self) -> None:
        own, foreign = make_project(), make_project()
        user = member(Role.VIEWER, own)
        user.user_permissions.add(Permission.objects.get(codename="delete_project"))
        assert user.has_perm("main.delete_project", own)
        assert not user.has_perm("main.delete_project", foreign)

    def test_rows_reach_their_project_through_others(self) -> None:
        own = make_project()
        capture = make_capture(deployment=make_deployment(project=own))
        classification = make_classification(detection=make_detection(source_image=capture))
        user, stranger = member(Role.VIEWER, own), member(Role.MANAGER, make_project())
        assert user.has_perm("main.view_classification", classification)
        assert not stranger.has_perm("main.view_classification", classification)

    def test_row_without_a_project_is_for_superusers(self) -> None:
        job = Job.objects.create(name="Orphan")
        user = member(Role.MANAGER, make_project())
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
        assert member(Role.OPERATOR, project).has_perm(f"{RUN}tracking", project)
        assert member(Role.MANAGER, project).has_perm(f"{RUN}tracking", project)
        assert not member(Role.IDENTIFIER, project).has_perm(f"{RUN}tracking", project)

    def test_project_limits_the_methods(self) -> None:
        project = make_project(methods=["rank_rollup"])
        user = member(Role.OPERATOR, project)
        assert user.has_perm(f"{RUN}rank_rollup", project)
        assert not user.has_perm(f"{RUN}tracking", project)
        assert not user.has_perm(f"{RUN}tracking")

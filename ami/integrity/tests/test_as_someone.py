"""`check_data_integrity --as`: it has the rights of a user, who is recorded."""

import pytest

from ami.base.tests.factories import make_member, make_project, make_user
from ami.integrity.models import IntegrityRun
from ami.integrity.tests.commands import run
from ami.jobs.models import Job
from ami.main.access import Role
from ami.main.models import Project

pytestmark = pytest.mark.django_db
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def project() -> Project:
    return make_project()


def test_operator_checks_and_repairs_the_project(capsys: Capture, project: Project) -> None:
    user = make_member(project, Role.OPERATOR)
    options = ("--project", str(project.pk), "--as", user.email)
    assert run(capsys, *options)[0] == 0
    assert IntegrityRun.objects.get().user == user
    assert run(capsys, *options, "--no-dry-run")[0] == 0
    assert Job.objects.get().user == user


@pytest.mark.parametrize("mode", ["--dry-run", "--no-dry-run"])
def test_viewer_is_refused(capsys: Capture, project: Project, mode: str) -> None:
    user = make_member(project)
    code, _, err = run(capsys, "--project", str(project.pk), mode, "--as", user.email)
    assert code == 2
    assert f"{user} lacks " in err
    assert f" for {str(project)!r}." in err
    assert not IntegrityRun.objects.exists()


def test_foreign_scopes_do_not_exist(capsys: Capture, project: Project) -> None:
    job = Job.objects.create(name="A run", project=project)
    email = make_member(make_project(), Role.MANAGER).email
    for scope, pk, noun in (("--project", project.pk, "project"), ("--job", job.pk, "Job")):
        code, _, err = run(capsys, scope, str(pk), "--as", email)
        assert (code, err) == (2, f"There is no {noun} {pk}.\n")


def test_only_superusers_check_everything(capsys: Capture, project: Project) -> None:
    code, _, err = run(capsys, "--as", make_member(project, Role.MANAGER).email)
    assert code == 2
    assert "Only superusers check all projects; give --project or --job." in err
    assert run(capsys, "--as", make_user(is_superuser=True).email)[0] == 0
    assert run(capsys, "--as", "nobody@example.org")[0] == 2

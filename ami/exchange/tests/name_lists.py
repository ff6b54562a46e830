"""Name lists that are uploaded, planned and applied as Jobs."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client

from ami.base.tests.factories import make_member
from ami.exchange.tests.test_import_taxa import HEADER, make_row
from ami.exchange.tests.uploads import apply, upload
from ami.jobs.journal.revert import foretell, request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.tests.job_types import run_to_end
from ami.main.access import Role
from ami.main.models import Project, TaxaList, Taxon
from ami.testing.records import left
from ami.users.models import User
from config.tests.access_tables import IMPORTS

TABLES: tuple[type[Model], ...] = (
    Taxon,
    TaxaList,
    TaxaList.taxa.through,
    TaxaList.projects.through,
    Taxon.projects.through,
)
MOTHS = (
    make_row("Actias luna", key="1"),
    make_row("Cenopis niveana", accepted="Sparganothis niveana", status="SYNONYM", key="2"),
    make_row("Actias selene L.", accepted="Actias selenes", key="3"),
)


@pytest.fixture
def person(project: Project) -> User:
    """A manager who may change what all projects share."""
    user = make_member(project, Role.MANAGER)
    grant(user, *IMPORTS["name list"], "main.add_taxalist")
    return user


def grant(user: User, *perms: str) -> None:
    codenames = [perm.partition(".")[2] for perm in perms]
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


@pytest.fixture
def send(signed_in: Client, project: Project) -> Callable[..., Any]:
    def send(*rows: str, header: str = HEADER, name: str = "moths.csv", **fields: Any) -> Any:
        fields = {"list_name": "Moths"} | fields
        return upload(signed_in, "\n".join([header, *rows]).encode(), project, name=name, **fields)

    return send


@pytest.fixture
def planned(send: Callable[..., Any]) -> Callable[..., Job]:
    """The ended dry run of an upload."""

    def planned(*rows: str, **fields: Any) -> Job:
        response = send(*rows, **fields)
        assert response.status_code == 302, response.text
        return run_to_end(Job.objects.latest("pk"))

    return planned


@pytest.fixture
def imported(planned: Callable[..., Job], signed_in: Client) -> Callable[..., Job]:
    """The ended Job that applies the dry run of an upload."""

    def imported(*rows: str, **fields: Any) -> Job:
        apply(signed_in, planned(*rows, **fields))
        job = run_to_end(Job.objects.latest("pk"))
        assert (job.dry_run, job.status) == (False, JobState.SUCCESS)
        return job

    return imported


def revert(job: Job) -> Job:
    """Revert the Job, which must do what was foretold."""
    foretold = {(one.fate, one.model, one.reason, one.rows) for one in foretell(job)}
    done = run_to_end(request_revert(job))
    assert done.status == JobState.SUCCESS, done.error
    told = {(model, reason) for _, model, reason, _ in foretold if reason}
    assert {(model, reason) for model, _, reason in left(done)} == told
    return done

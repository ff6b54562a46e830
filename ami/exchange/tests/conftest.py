import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client, override_settings
from pytest_django import DjangoDbBlocker

from ami.base.tests.factories import make_member, make_project
from ami.exchange.importing import survey, work
from ami.exchange.tests.antenna import Antenna, filled, made_antenna
from ami.main.access import Role
from ami.main.models import Project
from ami.users.models import User


@pytest.fixture
def import_export(tmp_path: Path) -> Callable[..., str]:
    def run(data: Any, *options: str, project: str = "Vermont", **named: Any) -> str:
        path = tmp_path / "export.json"
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            path.write_text(json.dumps(data))
        out = StringIO()
        arguments = (str(path), f"--project={project}", *options)
        call_command("import_occurrences", *arguments, stdout=out, **named)
        return out.getvalue()

    return run


@pytest.fixture(scope="session")
def empty_antenna(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Antenna]:
    with django_db_blocker.unblock(), made_antenna() as antenna:
        yield antenna


@pytest.fixture
def antenna(empty_antenna: Antenna) -> Iterator[Antenna]:
    """Return an Antenna database with two projects."""
    with filled(empty_antenna):
        yield empty_antenna


@pytest.fixture
def project() -> Project:
    return make_project(name="Vermont")


@pytest.fixture
def person(project: Project) -> User:
    """A manager who may add to what all projects share."""
    user = make_member(project, Role.MANAGER)
    codenames = ("add_taxon", "change_algorithmcategorymap")
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
def signed_in(client: Client, person: User) -> Client:
    client.force_login(person)
    return client


@pytest.fixture
def own_folder(tmp_path: Path) -> Iterator[None]:
    """Keeps the uploads of a test apart."""
    with override_settings(MEDIA_ROOT=tmp_path):
        yield


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports in batches of two rows, however small the file is."""
    monkeypatch.setattr(survey, "BATCH", 2)
    monkeypatch.setattr(work, "BATCH", 2)
    monkeypatch.setattr(work, "ATOMIC_BELOW", 0)

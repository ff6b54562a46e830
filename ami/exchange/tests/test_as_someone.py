"""Imports with `--as`: they have the rights of a user, who is recorded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission

from ami.base.tests.commands import Ended, run_command
from ami.base.tests.factories import make_member, make_project, make_user
from ami.base.tests.shared import OWN_CHECKLIST, OWN_EXPORT
from ami.base.tests.snapshots import snapshot
from ami.exchange.tests.exports import MODELS
from ami.main.access import Role
from ami.main.models import Project, TaxaList, Taxon
from ami.users.models import User

pytestmark = pytest.mark.django_db
Shell = Callable[..., Ended]
SHARED = ("add_taxon", "change_algorithmcategorymap")
CATALOGUE = ("add_taxon", "change_taxon")


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    def run(name: str, path: Path, *arguments: str) -> Ended:
        return run_command("ami.exchange", name, path, *arguments, capsys=capsys)

    return run


def holding(user: User, *codenames: str) -> User:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return user


class TestOccurrences:
    def load(self, shell: Shell, user: User) -> Ended:
        return shell("import_occurrences", OWN_EXPORT, "--project", "Vermont", "--as", user.email)

    def test_manager_who_may_add_to_the_catalogue_imports(self, shell: Shell) -> None:
        project = make_project(name="Vermont")
        user = holding(make_member(project, Role.MANAGER), *SHARED)
        assert self.load(shell, user).code == 0
        assert {entry.user for entry in LogEntry.objects.all()} == {user}
        assert project.occurrences.exists()

    @pytest.mark.parametrize(
        ("role", "codenames", "lacking"),
        [
            (Role.MANAGER, (), "main.add_taxon"),
            (Role.OPERATOR, SHARED, "main.add_deployment for 'Vermont'"),
        ],
    )
    def test_member_without_the_rights_changes_nothing(
        self, shell: Shell, role: Role, codenames: tuple[str, ...], lacking: str
    ) -> None:
        user = holding(make_member(make_project(name="Vermont"), role), *codenames)
        before = snapshot(*MODELS)
        ended = self.load(shell, user)
        assert (ended.code, ended.err) == (2, f"{user} lacks {lacking}.\n")
        assert snapshot(*MODELS) == before

    def test_model_rights_do_not_reach_a_foreign_project(self, shell: Shell) -> None:
        make_project(name="Vermont")
        user = make_user()
        user.user_permissions.set(Permission.objects.all())
        assert "lacks main.add_deployment for 'Vermont'" in self.load(shell, user).err

    def test_new_project_belongs_to_its_creator(self, shell: Shell) -> None:
        user = holding(make_user(), *SHARED)
        assert "lacks main.add_project" in self.load(shell, user).err
        assert self.load(shell, holding(user, "add_project")).code == 0
        assert Project.objects.get().owner == user


class TestTaxa:
    def load(self, shell: Shell, user: User) -> Ended:
        return shell("import_taxa", OWN_CHECKLIST, "--list", "Moths", "--as", user.email)

    def test_holder_of_the_model_rights_is_recorded(self, shell: Shell) -> None:
        user = holding(make_user(), *CATALOGUE, "add_taxalist")
        assert self.load(shell, user).code == 0
        assert {entry.user for entry in LogEntry.objects.all()} == {user}

    def test_member_without_model_rights_changes_nothing(self, shell: Shell) -> None:
        user = make_member(make_project(), Role.MANAGER)
        assert "lacks main.add_taxon" in self.load(shell, user).err
        assert "lacks main.add_taxalist" in self.load(shell, holding(user, *CATALOGUE)).err
        assert not Taxon.objects.exists()

    def test_list_of_another_project_is_refused(self, shell: Shell) -> None:
        TaxaList.objects.create(name="Moths").projects.add(make_project())
        user = holding(make_user(), *CATALOGUE, "add_taxalist", "change_taxalist")
        assert "lacks main.change_taxalist for 'Moths'" in self.load(shell, user).err
        assert not Taxon.objects.exists()

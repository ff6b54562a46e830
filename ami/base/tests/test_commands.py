"""What commands print if the database is missing, or was not migrated."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from ami.base.commands import ScriptableCommand
from ami.base.tests.commands import run_command
from ami.base.tests.shared import OWN_CHECKLIST, OWN_EXPORT

# The arguments with which each command uses the database.
COMMANDS: dict[str, tuple[Any, ...]] = {
    "calibrate": ("some",),
    "check_data_integrity": (),
    "check_jobs": (),
    "create_demo_project": (),
    "draw_sample": ("--project=1",),
    "effect": (1,),
    "export": ("csv", "--project=1", "-o", "never.csv"),
    "import_antenna": ("--database=postgresql:///never", "--time-zone=UTC"),
    "import_occurrences": (OWN_EXPORT, "--project=P"),
    "import_taxa": (OWN_CHECKLIST, "--list=L"),
    "job": ("show", 1),
    "prune_jobs": (),
    "review_result": (1,),
    "run_post_processing": ("small_size_filter", "--collection=1"),
    "seed_scale": ("--scale=0.001",),
    "shift_clock": ("--deployment=1", "--by=+1:00"),
    "update_stale_jobs": (),
}
APPS = {name: app for name, app in get_commands().items() if app.startswith("ami.")}
SCRIPTABLE = [
    name for name in COMMANDS if isinstance(load_command_class(APPS[name], name), ScriptableCommand)
]


def refused(name: str, *options: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command, which must fail, and return its exit code and output."""
    ended = run_command(APPS[name], name, *COMMANDS[name], *options, capsys=capsys)
    assert ended.code == (2 if name == "check_data_integrity" else 1)
    assert len(ended.err.splitlines()) == 1
    return ended


@pytest.fixture
def never_migrated(transactional_db: None) -> Iterator[None]:
    """Let the connection of the test look at a schema without tables."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA never_migrated; SET search_path TO never_migrated")
        yield
        cursor.execute("RESET search_path; DROP SCHEMA never_migrated")


def test_every_command_is_tried() -> None:
    assert APPS.keys() - COMMANDS.keys() == {"demo"}, "`demo` applies the migrations itself"


@pytest.mark.usefixtures("never_migrated")
@pytest.mark.parametrize("name", COMMANDS)
def test_database_without_tables_is_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = "The database has no tables of this project. Run `manage.py migrate` first."
    ended = refused(name, capsys=capsys)
    assert ended.err.removeprefix("CommandError: ") == f"{sentence}\n"
    if name in SCRIPTABLE:
        assert refused(name, "--format=json", capsys=capsys).json["error"] == sentence


@pytest.mark.django_db(transaction=True)
def test_missing_migrations_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = MigrationRecorder(connection)
    last = max(key for key in recorder.applied_migrations() if key[0] == "jobs")
    recorder.record_unapplied(*last)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_job RENAME COLUMN error TO of_another_version")
    try:
        ended = refused("job", capsys=capsys)
    finally:
        recorder.record_applied(*last)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs_job RENAME COLUMN of_another_version TO error")
    assert ended.err == (
        f"The database lacks these migrations: {'.'.join(last)}. Run `manage.py migrate` first.\n"
    )


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["job", "seed_scale"])
def test_database_that_does_not_answer_is_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OperationalError("the server closed the connection\nunexpectedly")

    monkeypatch.setattr(connection, "cursor", fail)
    ended = refused(name, capsys=capsys)
    monkeypatch.undo()
    sentence = "The database is not available: the server closed the connection unexpectedly\n"
    assert ended.err.removeprefix("CommandError: ") == sentence

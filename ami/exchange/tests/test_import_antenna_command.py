"""`manage.py import_antenna`: what it prints, its exit codes, and who may run it."""

from collections.abc import Callable
from typing import Any

import pytest

from ami.base.tests.commands import Ended, run_command
from ami.base.tests.factories import make_user
from ami.base.tests.snapshots import snapshot
from ami.exchange.tests.antenna import Antenna
from ami.exchange.tests.exports import MODELS

pytestmark = pytest.mark.django_db
Shell = Callable[..., Ended]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    def run(*arguments: Any) -> Ended:
        return run_command("ami.exchange", "import_antenna", *arguments, capsys=capsys)

    return run


def test_dry_run_prints_the_plan_and_writes_nothing(antenna: Antenna, shell: Shell) -> None:
    before = snapshot(*MODELS)
    ended = shell("--database", antenna.dsn, "--time-zone=UTC", "--dry-run")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].split() == ["table", "source", "copied", "reused", "skipped", "refused"]
    assert "main_classification" in ended.out
    assert lines[-1] == "This was a dry run; nothing was written."
    assert snapshot(*MODELS) == before


def test_copy_is_told(antenna: Antenna, shell: Shell) -> None:
    user = make_user(is_superuser=True)
    zones = ("--time-zone-of=71=UTC", "--time-zone-of=72=America/Panama")
    ended = shell("--database", antenna.dsn, *zones, "--as", user.email)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == (
        "Copied 59 rows of 2 projects. 0 determinations differed from what identifications and "
        "classifications say, and changed."
    )


def test_json_has_the_plan(antenna: Antenna, shell: Shell) -> None:
    arguments = ("--database", antenna.dsn, "--time-zone=UTC", "--format=json")
    for options, written in ((("--dry-run",), False), ((), True)):
        told = shell(*arguments, *options).json
        assert (told["written"], told["error"]) == (written, "")
        assert told["projects"] == ["Vermont", "Panama"]
        rows = {one["table"]: one for one in told["tables"]}
        assert rows["main_detection"]["copied"] == 4
        assert [one["kind"] for one in told["findings"]] == ["reference", "orphan"]


def test_refusal_lists_what_is_wrong(antenna: Antenna, shell: Shell) -> None:
    antenna.execute("UPDATE main_classification SET score = 7 WHERE id = 123")
    arguments = ("--database", antenna.dsn, "--time-zone=UTC")
    ended = shell(*arguments)
    assert ended.code == 1
    fault = (
        "main_classification: score is not between 0 and 1, in 1 row (id 123). Correct it in "
        "Antenna.\n"
    )
    assert ended.err == f"Nothing was written. {fault}"
    assert fault in ended.out
    told = shell(*arguments, "--format=json", "--dry-run").json
    assert f"{told['error']}\n" == ended.err
    assert told["findings"][0]["effect"] == "refused"


def test_only_superusers_may(antenna: Antenna, shell: Shell) -> None:
    user = make_user()
    ended = shell("--database", antenna.dsn, "--time-zone=UTC", "--as", user.email)
    assert (ended.code, ended.err) == (
        2,
        f"This command works on all projects; {user} is not a superuser.\n",
    )


@pytest.mark.parametrize("text", ["71", "=UTC", "a=UTC", "71="])
def test_time_zone_of_needs_id_and_zone(shell: Shell, text: str) -> None:
    ended = shell("--database=postgresql:///a", f"--time-zone-of={text}")
    assert ended.code == 2
    assert "must be ID=ZONE, such as 12=America/Panama" in ended.err

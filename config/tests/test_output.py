"""Every command of the project, with an output that cannot be written."""

import gc
import os
import sys
from collections.abc import Callable
from typing import IO

import pytest
from django.core.management import get_commands
from django.db import connections

import manage

COMMANDS = sorted(name for name, app in get_commands().items() if str(app).startswith("ami."))
LINES = [
    *([name, "--help"] for name in COMMANDS),
    ["check_data_integrity", "--list"],
    ["check_data_integrity", "--list", "--format", "json"],
    ["check_data_integrity", "--check", "nothing", "--format", "json"],
    ["run_post_processing", "--list"],
    ["run_post_processing", "nothing", "--format", "json"],
    ["job", "show", "1", "--format", "json"],
    ["prune_jobs"],
]
FULL = "The output cannot be written: No space left on device."


def full(buffering: int) -> IO[str]:
    return open("/dev/full", "w", buffering=buffering, encoding="utf-8")


def unread(buffering: int) -> IO[str]:
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w", buffering=buffering)


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection and the standard output of the test while a command runs."""
    monkeypatch.setattr(connections, "close_all", lambda: None)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "stdout", sys.stdout)


@pytest.mark.django_db
@pytest.mark.parametrize("line", LINES, ids=" ".join)
@pytest.mark.parametrize(
    ("opened", "code"), [(full, FULL), (unread, manage.NOBODY_READS)], ids=["full", "unread"]
)
@pytest.mark.parametrize("buffering", [-1, 1], ids=["buffered", "by the line"])
def test_a_command_ends_with_a_sentence_or_in_silence(
    line: list[str],
    opened: Callable[[int], IO[str]],
    code: object,
    buffering: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sys.argv = ["manage.py", *line]
    with opened(buffering) as stream:
        sys.stdout = stream
        with pytest.raises(SystemExit) as ended:
            manage.main()

    assert ended.value.code == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_command_collects_garbage_again_after_loading() -> None:
    sys.argv = ["manage.py", "check_data_integrity", "--list"]

    manage.main()

    assert gc.isenabled()

"""The command `check_data_integrity`, run as in a shell."""

import json
import sys
from typing import Any

import jsonschema
import pytest
from django.conf import settings

from ami.integrity.management.commands.check_data_integrity import Command

SCHEMA = json.loads((settings.ROOT / "docs/reference/check_data_integrity.schema.json").read_text())
COMMAND = "check_data_integrity"


def run(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr."""
    command = Command(stdout=sys.stdout, stderr=sys.stderr, no_color=True)
    capsys.readouterr()
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.connections.close_all", lambda: None)
        try:
            command.run_from_argv(["manage.py", COMMAND, *options])
        except SystemExit as end:
            code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    code, out, _ = run(capsys, "--format", "json", *options)
    told: dict[str, Any] = json.loads(out)
    jsonschema.validate(told, SCHEMA)
    assert told.get("exit_code", 0) == code
    return told

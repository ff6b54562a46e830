"""Running a command in this process as from a shell."""

import json
from typing import Any, NamedTuple

import jsonschema
import pytest
from django.conf import settings
from django.core.management import load_command_class
from django.db import connections


class Ended(NamedTuple):
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_command(app: str, name: str, *arguments: Any, capsys: pytest.CaptureFixture[str]) -> Ended:
    """Run the command as `manage.py` would, on the connection of the test."""
    command = load_command_class(app, name)
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "close_all", lambda: None)
        try:
            command.run_from_argv(["manage.py", name, *map(str, arguments)])
        except SystemExit as ended:
            code = ended.code
    captured = capsys.readouterr()
    return Ended(code or 0, captured.out, captured.err)


def conforms(value: Any, *, schema: str) -> bool:
    """Validate `value` with the documented schema. Raises jsonschema's ValidationError."""
    path = settings.ROOT / "docs/reference/schemas" / f"{schema}.json"
    jsonschema.validate(value, json.loads(path.read_text()))
    return True

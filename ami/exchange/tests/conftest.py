import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command


@pytest.fixture
def import_export(tmp_path: Path) -> Callable[..., str]:
    def run(data: Any, *options: str, project: str = "Vermont") -> str:
        path = tmp_path / "export.json"
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            path.write_text(json.dumps(data))
        out = StringIO()
        call_command("import_occurrences", str(path), f"--project={project}", *options, stdout=out)
        return out.getvalue()

    return run

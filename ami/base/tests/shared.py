"""Real data that lies beside the project; tests that read it are skipped where it is absent."""

from pathlib import Path

import pytest
from django.conf import settings

DATA: Path = settings.ROOT.parent / "shared/data"
EXPORT = DATA / "vermont-occurrences.json"
CHECKLIST = DATA / "quebec-vermont-moths.csv"


def needs(path: Path) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not path.exists(), reason=f"{path} is absent")

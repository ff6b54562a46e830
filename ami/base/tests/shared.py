"""The files that tests read: small ones of the project, and large ones of third parties.

The latter are in the folder `shared` beside the project. A test that reads one of them also runs on
a file of the project: give a fixture both as parameters, the large one with `third_party`.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from django.conf import settings

OWN = Path(__file__).with_name("data")
OWN_EXPORT = OWN / "occurrences.json"
OWN_CHECKLIST = OWN / "checklist.csv"
OWN_HIERARCHY = OWN / "hierarchy.json"

SHARED: Path = settings.ROOT.parent / "shared/data"
EXPORT = SHARED / "vermont-occurrences.json"
CHECKLIST = SHARED / "quebec-vermont-moths.csv"
HIERARCHY = SHARED / "quebec-vermont-hierarchy.json"
CASES: Path = settings.ROOT.parent / "shared/cases"


def third_party(value: Any, *files: Path) -> ParameterSet:
    """Return `value` as a parameter of a fixture that needs the files.

    If one is missing, the tests are skipped. pytest sums them up in one line per test file, as
    long as the test functions have no decorator: use fixtures instead of marks.
    """
    absent = next((file for file in files if not file.exists()), None)
    if not absent:
        return pytest.param(value, id=files[0].stem)
    path = os.path.relpath(absent, settings.ROOT)
    reason = f"{path} is absent; put the folder shared beside the project."
    return pytest.param(value, id=files[0].stem, marks=pytest.mark.skip(reason=reason))


def third_party_files(*files: Path) -> Any:
    """Return a fixture, whose value is the path of each of these files in turn."""

    @pytest.fixture(params=[third_party(file, file) for file in files])
    def path(request: pytest.FixtureRequest) -> Path:
        found: Path = request.param
        return found

    return path

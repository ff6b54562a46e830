import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import Figure
from benchmarks.timing import Seconds

pytestmark = pytest.mark.django_db


def test_measured_seconds_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "write_page", lambda: None)
    report.write_result("some", "Some", [Figure("task", Seconds(1.5, cpu=1.25), "s", at_most=2)])
    (stored,) = json.loads((tmp_path / "some.json").read_text())["figures"]
    assert (stored["value"], stored["met"]) == (1.5, True)

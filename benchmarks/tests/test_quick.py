import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from benchmarks import report
from benchmarks.report import Figure
from benchmarks.timing import Seconds

FIGURES = [
    Figure("task ÷ SQL", Seconds(1.5, cpu=1.0), at_most=2),
    Figure("row by row ÷ task", 62.9, at_least=100),
    Figure("rows checked per second", 59_039.4),
]


def bench(*arguments: str, **named: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: value for k, value in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=settings.ROOT,
        env=inherited | named,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def database_url(django_db_setup: None) -> str:
    """The test database, after which the benchmarks name their own."""
    name = connection.settings_dict["NAME"]
    return urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()


def test_quick_run_measures_the_filter_and_keeps_nothing(database_url: str) -> None:
    kept = report.PAGE.read_text()
    done = bench("small_size_filter", "--quick", DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    for name in ("task ÷ SQL", "row by row ÷ task", "peak memory, tenfold ÷ onefold"):
        assert name in done.stdout
    assert report.PAGE.read_text() == kept


def test_quick_run_measures_tracking(database_url: str) -> None:
    done = bench("tracking", "--quick", DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    for name in ("boxes alone: loop ÷ task", "vectors of 1,024: loop ÷ task"):
        assert name in done.stdout


def test_unknown_benchmark_is_refused() -> None:
    done = bench("speed")
    assert done.returncode == 2
    assert "no benchmark speed; choose from small_size_filter, " in done.stderr


def test_figures_say_whether_they_meet_their_target() -> None:
    assert [figure.met for figure in FIGURES] == [True, False, True]
    assert replace(FIGURES[0], value=2.01).met is False
    assert report.text_table(FIGURES) == (
        "figure                    value  target\n"
        "task ÷ SQL                  1.5  at most 2\n"
        "row by row ÷ task          62.9  at least 100\n"
        "rows checked per second  59,039\n"
        "Missed: row by row ÷ task.\n"
    )


@pytest.mark.django_db
def test_page_holds_the_figures_that_were_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "figures.md"
    page.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    report.write_result("filter", "Small size filter", FIGURES)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| row by row ÷ task | 62.9 | at least 100 | **missed** |" in text
    assert "| rows checked per second | 59,039 |  |  |" in text

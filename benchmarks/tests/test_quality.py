import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from django.conf import settings
from django.core.management import call_command

from ami.base.tests.shared import EXPORT, OWN_EXPORT, third_party
from ami.main.models import Detection, Event, Occurrence
from ami.ml.post_processing.tracking import TrackingConfig, TrackingTask
from benchmarks import consensus_quality, links, quality

DEFAULT = TrackingConfig.__fields__["geometry_cost_threshold"].default


class Known(NamedTuple):
    """An export with its known tracks."""

    path: Path
    links: int
    greedy: float  # F1 at the threshold 0.2
    optimal: float  # F1 at the default is at least this
    still: tuple[str, int, int, int]  # the most labelled moth


# Five links: two of a still moth cost 0; two of a pair that moves 40 pixels side by side, 64 apart,
# cost 0.54, and from the second to the place of the first 0.357; one jump costs 2.03.
OWN = Known(OWN_EXPORT, links=5, greedy=0.571, optimal=8 / 9, still=("still", 3, 3, 1))
VERMONT = Known(
    EXPORT, links=238, greedy=0.776, optimal=0.99, still=("20220620-SEQ-207688", 33, 11, 1)
)


@pytest.fixture(scope="module", params=[pytest.param(OWN, id="own"), third_party(VERMONT, EXPORT)])
def known(request: pytest.FixtureRequest) -> Known:
    found: Known = request.param
    return found


@pytest.fixture(scope="module")
def nights(known: Known) -> list[links.Night]:
    return links.read_nights(known.path)


@pytest.fixture(params=[third_party(EXPORT, EXPORT)])
def recorded(request: pytest.FixtureRequest) -> list[links.Night]:
    return links.read_nights(request.param)


def test_known_links_are_counted(nights: list[links.Night], known: Known) -> None:
    assert sum(len(night.links) for night in nights) == known.links


def test_greedy_matching_finds_what_it_is_known_to_find(
    nights: list[links.Night], known: Known
) -> None:
    assert round(links.score(nights, links.greedy, 0.2).f1, 3) == known.greedy


def test_shipped_default_finds_nearly_all_links(nights: list[links.Night], known: Known) -> None:
    assert links.score(nights, links.optimal, DEFAULT).f1 >= known.optimal


def test_still_moth_stays_one_track(nights: list[links.Night], known: Known) -> None:
    assert links.most_labelled(nights, DEFAULT) == known.still


def test_two_right_links_go_before_a_cheaper_wrong_one() -> None:
    nights = links.read_nights(OWN_EXPORT)

    # The right ones cost 1.08 together, the wrong one 0.357 and a threshold to stay alone.
    assert links.score(nights, links.optimal, 0.73) == (1, 4 / 5)
    assert links.score(nights, links.optimal, 0.72) == (2 / 3, 2 / 5)
    assert links.score(nights, links.greedy, 0.73) == (2 / 3, 2 / 5)


def test_report_tells_each_threshold_and_the_still_moth() -> None:
    lines = links.report(links.read_nights(OWN_EXPORT)).splitlines()

    assert len(lines) == 2 + len(links.THRESHOLDS) + 2
    assert "| 0.2 | 1.000 | 0.400 | 0.571 | 1.000 | 0.400 | 0.571 |" in lines
    assert "| 0.7 | 0.667 | 0.400 | 0.500 | 0.667 | 0.400 | 0.500 |" in lines
    assert "| **0.8** | 1.000 | 0.800 | 0.889 | 0.667 | 0.400 | 0.500 |" in lines
    assert lines[-1].startswith(
        "The still moth still, 3 detections with 3 labels, is linked into 1"
    )


def test_page_holds_the_figures(recorded: list[links.Night]) -> None:
    text = links.PAGE.read_text().split(links.BEGIN)[1].split(links.END)[0]
    assert text == links.report(recorded)


def test_command_prints_the_sweep_of_a_named_export() -> None:
    page = links.PAGE.read_bytes()

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quality", OWN_EXPORT],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == links.report(links.read_nights(OWN_EXPORT))
    assert links.PAGE.read_bytes() == page


def test_command_writes_the_sweep_of_the_recorded_nights_into_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "tracking.md"
    page.write_text(f"Before.\n{links.BEGIN}former\n{links.END}After.\n")
    monkeypatch.setattr(links, "PAGE", page)
    monkeypatch.setattr(quality, "EXPORT", OWN_EXPORT)
    monkeypatch.setattr(sys, "argv", ["quality"])
    other = tmp_path / "track_consensus.md"
    other.write_text(page.read_text())
    monkeypatch.setattr(consensus_quality, "PAGE", other)
    monkeypatch.setattr(consensus_quality, "TRACKS", 10)

    quality.main()

    text = links.report(links.read_nights(OWN_EXPORT))
    assert page.read_text() == f"Before.\n{links.BEGIN}{text}{links.END}After.\n"
    assert consensus_quality.report() in other.read_text()


def test_command_says_what_to_name_where_the_recorded_nights_are_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "EXPORT", tmp_path / "absent.json")
    monkeypatch.setattr(sys, "argv", ["quality"])
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit, match=r"^absent\.json does not exist\. Give an"):
        quality.main()


def test_run_on_rows_finds_the_same(db: None, nights: list[links.Night], known: Known) -> None:
    call_command("import_occurrences", known.path, project="Vermont", verbosity=0)
    pairs = set()
    for occurrence in Occurrence.objects.all():
        rows = occurrence.detections.order_by("source_image__timestamp")
        pairs |= set(pairwise(rows.values_list("pk", flat=True)))
    Detection.objects.update(occurrence=None)
    Occurrence.objects.all().delete()
    for event in Event.objects.all():
        TrackingTask(event_id=event.pk).run()
    found = set(Detection.objects.exclude(next_detection=None).values_list("pk", "next_detection"))
    expected = links.score(nights, links.optimal, DEFAULT)
    right = len(pairs & found)
    assert (right / len(found), right / len(pairs)) == tuple(expected)
    _, detections, *_ = known.still
    assert detections in [occurrence.detections.count() for occurrence in Occurrence.objects.all()]

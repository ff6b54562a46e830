import subprocess
import sys
from itertools import pairwise

import pytest
from django.conf import settings
from django.core.management import call_command

from ami.base.tests.shared import EXPORT, needs
from ami.main.models import Detection, Event, Occurrence
from ami.ml.post_processing.tracking import TrackingConfig, TrackingTask
from benchmarks import links

pytestmark = needs(EXPORT)
DEFAULT = TrackingConfig.__fields__["geometry_cost_threshold"].default
STILL_MOTH = "20220620-SEQ-207688"


@pytest.fixture(scope="module")
def nights() -> list[links.Night]:
    return links.read_nights(EXPORT)


def test_known_links_are_counted(nights: list[links.Night]) -> None:
    assert sum(len(night.links) for night in nights) == 238


def test_greedy_matching_finds_what_it_is_known_to_find(nights: list[links.Night]) -> None:
    assert round(links.score(nights, links.greedy, 0.2).f1, 3) == 0.776


def test_shipped_default_finds_nearly_all_links(nights: list[links.Night]) -> None:
    assert links.score(nights, links.optimal, DEFAULT).f1 >= 0.99


def test_still_moth_stays_one_track(nights: list[links.Night]) -> None:
    assert links.most_labelled(nights, DEFAULT) == (STILL_MOTH, 33, 11, 1)


def test_page_holds_the_figures(nights: list[links.Night]) -> None:
    text = links.PAGE.read_text().split(links.BEGIN)[1].split(links.END)[0]
    assert text == links.report(nights)


def test_command_prints_the_sweep() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quality"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"| **{DEFAULT}** |" in done.stdout


@pytest.mark.django_db
def test_run_on_real_rows_finds_the_same(nights: list[links.Night]) -> None:
    call_command("import_occurrences", EXPORT, project="Vermont", verbosity=0)
    known = set()
    for occurrence in Occurrence.objects.all():
        rows = occurrence.detections.order_by("source_image__timestamp")
        known |= set(pairwise(rows.values_list("pk", flat=True)))
    Detection.objects.update(occurrence=None)
    Occurrence.objects.all().delete()
    for event in Event.objects.all():
        TrackingTask(event_id=event.pk).run()
    found = set(Detection.objects.exclude(next_detection=None).values_list("pk", "next_detection"))
    expected = links.score(nights, links.optimal, DEFAULT)
    right = len(known & found)
    assert (right / len(found), right / len(known)) == tuple(expected)
    moths = [occurrence.detections.count() for occurrence in Occurrence.objects.all()]
    assert 33 in moths

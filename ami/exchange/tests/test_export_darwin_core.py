"""Darwin Core Archives, read by python-dwca-reader."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from dwca.read import DwCAReader

from ami.base.tests.factories import make_capture, make_deployment, make_occurrence
from ami.exchange import darwin_core as dwc
from ami.exchange.export.formats import darwin_core
from ami.exchange.export.scope import Scope
from ami.exchange.tests.export_world import World, csv_rows, empty_project, exported
from ami.main.models import Event

pytestmark = pytest.mark.django_db


@contextmanager
def archive(scope: Scope, folder: Path, **options: Any) -> Iterator[Any]:
    with DwCAReader(str(exported("darwin_core", scope, folder, **options).path)) as reader:
        yield reader


def of_type(row: Any, table: dwc.Table) -> list[dict[str, str]]:
    return [
        {name.rpartition("/")[2]: value for name, value in one.data.items()}
        for one in row.extensions
        if one.rowtype == table.row_type
    ]


@pytest.fixture
def world() -> World:
    return World()


def test_archive_carries_the_rows(world: World, tmp_path: Path) -> None:
    with archive(world.scope, tmp_path, media_url="https://images.example.org") as read:
        assert read.descriptor.core.type == dwc.EVENTS.row_type
        (night,) = list(read)
        assert night.id == f"night-{world.night.pk}"
        assert night.data[f"{dwc.DWC}eventDate"] == (
            "2022-06-20T19:00:00-04:00/2022-06-20T19:00:00-04:00"
        )
        assert night.data[f"{dwc.DWC}decimalLongitude"] == "-72.5"
        first, second = of_type(night, dwc.OCCURRENCES)
        assert (first["scientificName"], first["genus"], first["identifiedBy"]) == (
            "Acronicta impleta",
            "Acronicta",
            "Ada",
        )
        assert {first["basisOfRecord"], second["basisOfRecord"]} == {"MachineObservation"}
        assert (first["identificationVerificationStatus"], first["identificationRemarks"]) == (
            "verified",
            "agreed with a person",
        )
        assert (second["identifiedBy"], second["identificationVerificationStatus"]) == (
            "",
            "unverified",
        )
        pictures = of_type(night, dwc.MULTIMEDIA)
        assert pictures[0]["identifier"] == "https://images.example.org/night/a.jpg"
        facts = {
            (one["occurrenceID"], one["measurementType"]): one
            for one in of_type(night, dwc.MEASUREMENTS)
        }
        score = facts[f"occurrence-{world.second.pk}", "score of this name"]
        assert (score["measurementValue"], score["measurementDeterminedBy"]) == (
            "0.6",
            "Moth net v3",
        )
        assert score["measurementMethod"] == "Class masking"
        assert "taxa list: Moths of Vermont" in score["measurementRemarks"]
        answer = facts[f"occurrence-{world.first.pk}", "independent identification"]
        assert answer["measurementValue"] == "false"
        assert "Vermont" in ElementTree.tostring(read.metadata, encoding="unicode")


def test_what_it_cannot_carry_is_listed(world: World, tmp_path: Path) -> None:
    nowhere = make_deployment(project=world.project)
    bare = Event.objects.create(
        project=world.project, deployment=nowhere, group_by="2022-06-22", start=None
    )
    make_capture(deployment=nowhere, event=bare, path="https://images.example.org/x.jpg")
    timeless = Event.objects.create(
        project=world.project, deployment=world.deployment, group_by="2022-06-23"
    )
    lost = make_capture(deployment=world.deployment, event=timeless, timestamp=None)
    unnamed = make_occurrence(deployment=world.deployment, event=world.night)
    nightless = make_occurrence(deployment=world.deployment)
    written = exported("darwin_core", world.scope, tmp_path)
    listed = {
        (row["problem"], int(row["id"])) for row in csv_rows(written.problems_path or tmp_path)
    }
    assert listed == {
        (darwin_core.NO_COORDINATES, nowhere.pk),
        (darwin_core.NO_TIMES, timeless.pk),
        (darwin_core.NO_NIGHT_OF_CAPTURE, lost.pk),
        (darwin_core.NO_NAME, unnamed.pk),
        (darwin_core.NO_NIGHT, nightless.pk),
        *((darwin_core.NO_ADDRESS, capture.pk) for capture in world.captures),
    }
    with DwCAReader(str(written.path)) as read:
        assert {row.id for row in read} == {f"night-{world.night.pk}", f"night-{bare.pk}"}


def test_empty_project_and_odd_names_can_be_read(tmp_path: Path) -> None:
    for folder in ("empty", "odd"):
        (tmp_path / folder).mkdir()
    with archive(Scope(empty_project().pk), tmp_path / "empty") as read:
        assert list(read) == []
    odd = 'a\tb\n"c"\r=d\u2028<e>&amp; \x01蛾'
    world = World(**dict.fromkeys(("project", "deployment", "person", "algorithm"), odd), human=odd)
    with archive(world.scope, tmp_path / "odd") as read:
        (night,) = list(read)
        first, _ = of_type(night, dwc.OCCURRENCES)
        assert first["scientificName"] == 'a b "c" =d <e>&amp;  蛾'
        assert first["identifiedBy"] == first["scientificName"]
        assert "<e>&amp;" in read.metadata.find("dataset/title").text

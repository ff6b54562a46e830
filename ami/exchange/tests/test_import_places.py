"""What files say about deployments: coordinates, time zones, nights and descriptions."""

import shutil
from collections.abc import Callable
from datetime import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from ami.base.tests.factories import make_deployment, make_project
from ami.base.tests.snapshots import snapshot
from ami.exchange.models import Import
from ami.exchange.plan import ImportPlan, Outcome
from ami.exchange.reading.records import DeploymentRecord, Item
from ami.exchange.tests.export_world import World, exported
from ami.exchange.tests.reading import SAMPLES, faults, items, skipped
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import Deployment, Event, Project, SourceImage

Edit = Callable[[str, str, str], None]
GARDEN = ("Garden", 44.5, -72.5)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The sample, in which the sizes of all captures are known."""
    path = Path(shutil.copytree(SAMPLES / "camtrap_dp", tmp_path / "package"))
    media = (path / "media.csv").read_text()
    size = '"{""ImageWidth"": 4096, ""ImageHeight"": 2160}"'
    (path / "media.csv").write_text(media.replace("image/jpeg,\n", f"image/jpeg,{size}\n"))
    return path


@pytest.fixture
def edit(package: Path) -> Edit:
    def change(name: str, old: str, new: str) -> None:
        text = (package / name).read_text()
        assert old in text
        (package / name).write_text(text.replace(old, new))

    return change


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive of two places, one of which has two events."""
    path = Path(shutil.copytree(SAMPLES / "darwin_core", tmp_path / "archive"))
    terms = (
        *("decimalLatitude", "decimalLongitude", "geodeticDatum", "dynamicProperties"),
        "locationRemarks",
    )
    fields = "".join(
        f'<field index="{index}" term="http://rs.tdwg.org/dwc/terms/{term}"/>'
        for index, term in enumerate(terms, start=4)
    )
    meta = path / "meta.xml"
    meta.write_text(meta.read_text().replace("</core>", f"{fields}</core>"))
    zone = '{"timeZone": "America/New_York", "nightStarts": "05:30", "other": 1}'
    rows = [
        ("n1", "2022-06-20", "Garden", "l1", "44.5", "-72.5", "WGS 84", zone, "By the pond"),
        ("n2", "2022-06-21", "Garden", "l1", "44.6", "-72.5", "", "no JSON", ""),
        ("n3", "2022-06-21", "Garden", "l1", "44.7", "-72.5", "", "", ""),
        ("n4", "2022-06-21", "", "l2", "45", "-72", "NAD27", "[]", ""),
    ]
    (path / "event.txt").write_text("\n".join(map("\t".join, [("",) * 9, *rows])))
    return path


def told(found: list[Item]) -> list[tuple[Any, ...]]:
    return [tuple(one)[1:] for one in found if isinstance(one, DeploymentRecord)]


def load(path: Path, *options: str, project: str = "Vermont") -> ImportPlan:
    arguments = (str(path), f"--project={project}", *options)
    call_command("import_occurrences", *arguments, stdout=StringIO())
    return ImportPlan.from_json(Import.objects.latest("pk").plan)


def places(project: str = "Vermont") -> list[tuple[Any, ...]]:
    columns = ("name", "latitude", "longitude", "time_zone", "night_starts", "description")
    rows = Deployment.objects.filter(project__name=project).order_by("pk")
    return list(rows.values_list(*columns))


class TestReading:
    def test_camtrap_dp(self, package: Path, edit: Edit) -> None:
        table, tags = "deployments.csv", "bait:none | timeZone:America/New_York|nightStarts:05:30"
        edit(table, "deploymentEnd\n", "deploymentEnd,deploymentTags,deploymentComments\n")
        edit(table, "22T05:00:00-04:00\n", "22T05:00:00-04:00,,\n")
        edit(table, "21T05:00:00-04:00\n", f"21T05:00:00-04:00,{tags},By the pond\n")
        assert told(items(package, "camtrap_dp")) == [
            (*GARDEN, "America/New_York", time(5, 30), "By the pond"),
            ("d3", 44.6, -72.6, "", None, ""),
        ]

    def test_darwin_core(self, archive: Path) -> None:
        found = items(archive, "darwin_core")
        assert told(found) == [
            (*GARDEN, "America/New_York", time(5, 30), "By the pond"),
            ("l2", None, None, "", None, ""),
        ]
        # Only the first contradiction is told.
        reason = "has another latitude than in event.txt, line 2, which counts"
        assert [one for one in skipped(found) if "latitude" in one[2]] == [
            ("event.txt, line 3", "Garden", reason)
        ]

    @pytest.mark.parametrize(
        ("old", "new", "fault"),
        [
            ("44.5", "94.5", "latitude must be a number of degrees from -90 to 90, got"),
            ("-72.5", "inf", "longitude must be a number of degrees from -180 to 180, got"),
            ("44.5", "north", "latitude must be a number, got"),
            ("Tags1", "timeZone:Here", "timeZone must be an IANA time zone, such as"),
            ("Tags1", "nightStarts:25:00", "nightStarts must be a time of day, such as 12:00"),
        ],
    )
    def test_what_is_no_place_is_a_fault(
        self, package: Path, edit: Edit, old: str, new: str, fault: str
    ) -> None:
        edit("deployments.csv", "deploymentEnd\n", "deploymentEnd,deploymentTags\n")
        edit("deployments.csv", "22T05:00:00-04:00\n", "22T05:00:00-04:00,\n")
        edit("deployments.csv", "21T05:00:00-04:00\n", "21T05:00:00-04:00,Tags1\n")
        edit("deployments.csv", old, new)
        first = faults(items(package, "camtrap_dp"))[0]
        assert first.startswith(f"deployments.csv, line 2: {fault}")


@pytest.mark.django_db
class TestImport:
    def test_new_deployments_have_what_the_file_says(self, archive: Path) -> None:
        plan = load(archive)
        assert places()[0] == (*GARDEN, "America/New_York", time(5, 30), "By the pond")
        assert not any("time zone UTC" in one.reason for one in plan.told() if one.name == "Garden")
        assert load(archive).counts[Outcome.UNCHANGED][Deployment] == 1

    def test_what_is_not_known_is_filled_in_and_the_rest_is_listed(self, package: Path) -> None:
        project = make_project(name="Vermont")
        make_deployment(project=project, name="Garden", latitude=40.0, description="Mine")

        plan = load(package)

        changed, differs = (
            [(one.name, one.place, *map(str, one.changes)) for one in plan.entries[outcome]]
            for outcome in (Outcome.CHANGED, Outcome.DIFFERS)
        )
        assert changed == [("Garden", "deployments.csv, line 2", "longitude: none → -72.5")]
        assert differs == [("Garden", "deployments.csv, line 2", "latitude: 40.0 → 44.5")]
        assert [row[:3] for row in places()] == [("Garden", 40.0, -72.5)]
        before = snapshot(Deployment)
        assert load(package, "--dry-run", "--update").total(Outcome.CHANGED) == 1
        assert snapshot(Deployment) == before
        load(package, "--update")
        assert [row[:3] for row in places()] == [GARDEN]
        assert places()[0][-1] == "Mine"
        assert not load(package, "--update").writes
        Deployment.objects.update(latitude=44.50000000001)
        assert not load(package, "--update").writes

    def test_another_time_zone_divides_the_nights_anew(self, archive: Path) -> None:
        project = make_project(name="Vermont")
        place = make_deployment(project=project, name="Garden", time_zone="Asia/Tokyo")
        load(archive)
        assert places()[0][3] == "Asia/Tokyo"
        nights = snapshot(Event)

        plan = load(archive, "--update")

        (entry,) = [one for one in plan.entries[Outcome.CHANGED] if one.model is Deployment]
        assert list(map(str, entry.changes)) == [
            "time zone: 'Asia/Tokyo' → 'America/New_York'",
            "night starts: '12:00:00' → '05:30:00'",
        ]
        capture = SourceImage.objects.filter(deployment=place).first()
        assert capture
        assert capture.event
        assert capture.event.group_by == "2022-06-20"
        assert snapshot(Event) != nights
        assert run_to_end(request_revert(Job.objects.latest("pk"))).status == JobState.SUCCESS
        assert snapshot(Event) == nights
        assert places()[0][3] == "Asia/Tokyo"

    def test_a_revert_removes_new_deployments_and_puts_others_back(self, package: Path) -> None:
        project = make_project(name="Vermont")
        make_deployment(project=project, name="Garden")
        before = places()
        media = package / "media.csv"
        media.write_text(media.read_text().replace("m3,d2", "m3,d3"))
        load(package)
        assert places() == [(*GARDEN, *before[0][3:]), ("d3", 44.6, -72.6, *before[0][3:])]
        assert run_to_end(request_revert(Job.objects.latest("pk"))).status == JobState.SUCCESS
        assert places() == before

    def test_the_option_replaces_the_deployments_with_what_is_said_of_them(
        self, package: Path
    ) -> None:
        load(package, "--deployment=Trap 1")
        assert places() == [("Trap 1", None, None, "UTC", time(12), "")]

    @pytest.mark.parametrize("key", ["camtrap_dp", "darwin_core"])
    def test_an_export_brings_its_deployments_back(self, key: str, tmp_path: Path) -> None:
        world = World()
        note = "By the pond,\nleft \u201cof\u201d it | see: map"
        Deployment.objects.update(description=note, night_starts=time(5, 30))
        options = {"media_url": "https://images.example.org"} if key == "darwin_core" else {}
        path = exported(key, world.scope, tmp_path, **options).path

        load(path, project="Copy")

        expected = places(world.project.name)
        if key == "darwin_core":  # which has no line breaks
            expected = [(*row[:-1], row[-1].replace("\n", " ")) for row in expected]
        assert places("Copy") == expected
        assert not load(path, project="Copy").writes
        assert not load(path, project=world.project.name).entries[Outcome.DIFFERS]
        assert Project.objects.count() == 2

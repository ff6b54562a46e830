"""Camtrap DP: valid by frictionless and JSON Schema, and what it cannot carry is listed."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import jsonschema
import pytest
from frictionless import Package, system

from ami.base.tests.factories import make_capture, make_deployment, make_detection, make_occurrence
from ami.exchange import camtrap
from ami.exchange.export.formats import camtrap_dp
from ami.exchange.export.run import Written
from ami.exchange.export.scope import Scope
from ami.exchange.tests.export_world import World, csv_rows, empty_project, exported
from ami.main.models import Deployment, Detection, Occurrence, SourceImage, Taxon

pytestmark = pytest.mark.django_db

FIELDS = {
    "deployments": camtrap.DEPLOYMENTS,
    "media": camtrap.MEDIA,
    "observations": camtrap.OBSERVATIONS,
    "classifications": camtrap.CLASSIFICATIONS,
}
REFERENCES = {
    "media": ["deployment"],
    "observations": ["deployment", "media"],
}
TABLES = {"deployment": "deployments", "media": "media"}
TEXT = {"type": "string", "minLength": 1}
# The requirements of the profile of version 1.0.2 that go beyond those of any data package.
PROFILE = {
    "type": "object",
    "required": [
        "resources",
        "profile",
        "name",
        "created",
        "contributors",
        "project",
        "spatial",
        "temporal",
        "taxonomic",
    ],
    "properties": {
        "profile": {"const": camtrap.PROFILE},
        "name": {"type": "string", "pattern": "^[-a-z0-9._/]+$"},
        "created": {"type": "string", "format": "date-time"},
        "contributors": {
            "type": "array",
            "minItems": 1,
            "items": {"required": ["title"], "properties": {"role": {"enum": ["publisher"]}}},
        },
        "project": {
            "required": [
                "title",
                "samplingDesign",
                "captureMethod",
                "individualAnimals",
                "observationLevel",
            ],
            "properties": {
                "title": TEXT,
                "samplingDesign": {"enum": ["opportunistic"]},
                "captureMethod": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"enum": ["activityDetection", "timeLapse"]},
                },
                "individualAnimals": {"type": "boolean"},
                "observationLevel": {"type": "array", "items": {"enum": ["media", "event"]}},
            },
        },
        "spatial": {"required": ["type", "coordinates"]},
        "temporal": {
            "required": ["start", "end"],
            "additionalProperties": {"type": "string", "format": "date"},
        },
        "taxonomic": {
            "type": "array",
            "items": {
                "required": ["scientificName"],
                "properties": {"taxonRank": {"enum": list(camtrap.RANKS)}},
                "additionalProperties": TEXT,
            },
        },
        "resources": {
            "minItems": 3,
            "items": {"required": ["name", "path", "profile", "schema"]},
        },
    },
}


def unpacked(written: Written) -> tuple[dict[str, Any], dict[str, list[dict[str, str]]]]:
    """The description and the tables of a package, which must be valid."""
    folder = written.path.parent / "package"
    with ZipFile(written.path) as archive:
        archive.extractall(folder)
    described = json.loads((folder / "datapackage.json").read_text())
    validate(described, folder)
    return described, {name: csv_rows(folder / f"{name}.csv") for name in FIELDS}


def validate(described: dict[str, Any], folder: Path) -> None:
    """Raise AssertionError or ValidationError unless the package is valid."""
    jsonschema.validate(
        described, PROFILE, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    resources = [{**one, "schema": schema(one["name"])} for one in described["resources"]]
    assert [one["schema"] for one in described["resources"][:3]] == [
        f"https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/{name}-table-schema.json"
        for name in ("deployments", "media", "observations")
    ]
    with system.use_context(trusted=True):
        report = Package.from_descriptor(
            {"name": described["name"], "resources": resources}, basepath=str(folder)
        ).validate()
    assert report.valid, report.flatten(["type", "rowNumber", "fieldName", "note"])[:5]


def schema(name: str) -> dict[str, Any]:
    """Our own wording of a table's schema: no file is fetched."""
    return camtrap.schema(FIELDS[name]) | {
        "foreignKeys": [
            {
                "fields": f"{key}ID",
                "reference": {"resource": TABLES[key], "fields": f"{key}ID"},
            }
            for key in REFERENCES.get(name, [])
        ]
    }


def box(row: dict[str, str]) -> list[float]:
    return [float(row[f"bbox{name}"]) for name in ("X", "Y", "Width", "Height")]


@pytest.fixture
def world() -> World:
    return World()


def test_package_is_valid_and_carries_the_rows(world: World, tmp_path: Path) -> None:
    written = exported("camtrap_dp", world.scope, tmp_path, media_url="https://images.example.org")
    described, tables = unpacked(written)
    assert written.problems == []
    (deployment,) = tables["deployments"]
    assert (deployment["locationName"], deployment["latitude"]) == ("Trap 1", "44.5")
    assert deployment["deploymentStart"] == "2022-06-20T19:00:00-04:00"
    assert tables["media"][0]["filePath"] == "https://images.example.org/night/a.jpg"
    assert [row["observationLevel"] for row in tables["observations"]] == [
        *["media"] * 3,
        *["event"] * 2,
    ]
    assert described["taxonomic"] == [
        {
            "scientificName": "Acronicta impleta",
            "taxonID": "https://www.gbif.org/species/1793",
            "taxonRank": "species",
            "family": "Noctuidae",
            "genus": "Acronicta",
        },
        {
            "scientificName": "Acronicta rumicis",
            "taxonRank": "species",
            "family": "Noctuidae",
            "genus": "Acronicta",
        },
    ]


def test_observations_say_who_named_them(world: World, tmp_path: Path) -> None:
    _, tables = unpacked(exported("camtrap_dp", world.scope, tmp_path))
    seen, other, _, first, second = tables["observations"]
    assert seen["scientificName"] == first["scientificName"] == "Acronicta impleta"
    assert (first["classificationMethod"], first["classifiedBy"], first["count"]) == (
        "human",
        "Ada",
        "1",
    )
    assert first["observationTags"] == "independent:false | blind:false"
    assert first["classificationProbability"] == ""
    assert (second["classificationMethod"], second["classifiedBy"]) == ("machine", "Moth net v3")
    assert (second["classificationProbability"], second["observationTags"]) == (
        "0.6",
        f"run:{world.job.pk}",
    )
    assert box(seen) == pytest.approx([0.1] * 4)
    assert other["individualID"] == second["individualID"] == str(world.second.pk)
    assert {row["eventID"] for row in tables["observations"]} == {str(world.night.pk)}


def test_classifications_carry_the_lineage(world: World, tmp_path: Path) -> None:
    _, tables = unpacked(exported("camtrap_dp", world.scope, tmp_path))
    former, latter = tables["classifications"][:2]
    assert latter["appliedTo"] == former["classificationID"]
    assert (former["terminal"], latter["terminal"]) == ("false", "true")
    assert (latter["method"], latter["taxaList"], latter["run"]) == (
        "Class masking",
        "Moths of Vermont",
        str(world.job.pk),
    )
    assert latter["observationID"] == tables["observations"][0]["observationID"]


def test_what_it_cannot_carry_is_listed_and_left_out(world: World, tmp_path: Path) -> None:
    nowhere = make_deployment(project=world.project, latitude=None, longitude=3)
    lost = make_capture(deployment=nowhere)
    hidden = make_occurrence(deployment=nowhere)
    make_detection(source_image=lost, occurrence=hidden)
    faults: list[dict[str, Any]] = [
        {"timestamp": None},
        {"path": "../a.jpg"},
        {"path": "a.txt"},
        {"width": None},
    ]
    captures = [make_capture(deployment=world.deployment, **fault) for fault in faults]
    unsized = make_detection(source_image=captures[-1])
    frame = world.captures[0]
    no_box = make_detection(source_image=frame, bbox=None)
    outside = make_detection(source_image=frame, bbox=[2000, 0, 2100, 100])
    cut = make_detection(source_image=frame, bbox=[-50, 900, 50, 1000.5])
    nightless = make_occurrence(deployment=world.deployment)
    written = exported("camtrap_dp", world.scope, tmp_path)
    _, tables = unpacked(written)
    listed = {
        (row["problem"], int(row["id"])) for row in csv_rows(written.problems_path or tmp_path)
    }
    assert listed == {
        (camtrap_dp.NO_PLACE, nowhere.pk),
        (camtrap_dp.NOT_PLACED, lost.pk),
        (camtrap_dp.OCCURRENCE_NOT_PLACED, hidden.pk),
        (camtrap_dp.NO_TIME, captures[0].pk),
        (camtrap_dp.BAD_PATH, captures[1].pk),
        (camtrap_dp.NOT_MEDIA, captures[2].pk),
        ("The detections of a capture without a size are left out", captures[3].pk),
        ("A detection without a valid box is left out", no_box.pk),
        ("A detection whose box is outside its capture is left out", outside.pk),
        ("A box that exceeds its capture is cut at the edge", cut.pk),
        (camtrap_dp.NO_NIGHT, nightless.pk),
    }
    ids = {row["observationID"] for row in tables["observations"]}
    assert not ids & {f"detection-{one.pk}" for one in (no_box, outside, unsized)}
    (row,) = (
        one for one in tables["observations"] if one["observationID"] == f"detection-{cut.pk}"
    )
    assert box(row) == pytest.approx([0, 0.9, 0.05, 0.1])
    assert row["observationType"] == "unclassified"


def test_name_that_is_not_identifiable_is_unknown(world: World, tmp_path: Path) -> None:
    Taxon.objects.filter(pk=world.machine.pk).update(identifiable=False)
    _, tables = unpacked(exported("camtrap_dp", world.scope, tmp_path))
    last = tables["observations"][-1]
    assert (last["observationType"], last["scientificName"]) == ("unknown", "")


def test_empty_project_and_odd_names_are_valid(tmp_path: Path) -> None:
    for folder in ("empty", "odd"):
        (tmp_path / folder).mkdir()
    unpacked(exported("camtrap_dp", Scope(empty_project().pk), tmp_path / "empty"))
    odd = 'a | "b";\n=c,\t蛾 '
    long = dict.fromkeys(("project", "deployment", "person", "algorithm"), odd * 10)
    world = World(**long, human=odd)
    written = exported("camtrap_dp", world.scope, tmp_path / "odd")
    unpacked(written)


def test_subset_of_occurrences_takes_only_their_captures(world: World, tmp_path: Path) -> None:
    scope = Scope(world.project.pk, occurrence_ids=frozenset([world.second.pk]))
    _, tables = unpacked(exported("camtrap_dp", scope, tmp_path))
    assert [row["mediaID"] for row in tables["media"]] == [str(world.captures[0].pk)]
    assert len(tables["observations"]) == 2
    assert {row["individualID"] for row in tables["observations"]} == {str(world.second.pk)}


def test_rows_are_those_of_the_database(world: World, tmp_path: Path) -> None:
    _, tables = unpacked(exported("camtrap_dp", world.scope, tmp_path))
    assert len(tables["deployments"]) == Deployment.objects.count()
    assert len(tables["media"]) == SourceImage.objects.count()
    assert len(tables["observations"]) == Detection.objects.count() + Occurrence.objects.count()


def test_capture_without_detections_is_blank_and_sizes_are_written(
    world: World, tmp_path: Path
) -> None:
    bare = make_capture(deployment=world.deployment, event=world.night, width=None)
    _, tables = unpacked(exported("camtrap_dp", world.scope, tmp_path))
    (row,) = (row for row in tables["observations"] if row["observationType"] == "blank")
    assert (row["observationID"], row["mediaID"]) == (f"capture-{bare.pk}", str(bare.pk))
    sized, *_, unsized = tables["media"]
    assert json.loads(sized["exifData"]) == {"ImageWidth": 1000, "ImageHeight": 1000}
    assert unsized["exifData"] == ""

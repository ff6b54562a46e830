"""Camtrap DP packages."""

import csv
import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.records import AlgorithmRecord, ClassificationRecord, Item
from ami.exchange.reading.registry import reader_of
from ami.exchange.tests.reading import (
    SAMPLES,
    detections,
    empty,
    faults,
    items,
    occurrences,
    skipped,
)

SAMPLE = SAMPLES / "camtrap_dp"
MOTH_NET = AlgorithmRecord("Moth net", 3)
NO_BOX = "has no box, without which nothing is imported"
NO_OWN_PICTURE = "has no box, and no picture of its own"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the sample, to be changed."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "package"))


def read(path: Path) -> list[Item]:
    return items(path, "camtrap_dp")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def describe(package: Path, **values: Any) -> None:
    path = package / "datapackage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def zipped(package: Path, folder: str = "") -> Path:
    path = package.with_suffix(".zip")
    with ZipFile(path, "w") as archive:
        for file in package.iterdir():
            archive.write(file, f"{folder}{file.name}")
    return path


def test_detections_of_an_individual_are_one_occurrence() -> None:
    first, second = occurrences(read(SAMPLE))
    assert (first.key, first.label, second.key) == ("n1/moth 1", "Actias luna", "")
    assert [one.capture.path for one in first.detections] == [
        "https://images.example.org/2.jpg",
        "garden/1.jpg",
    ]
    assert [one.bbox for one in first.detections] == [
        pytest.approx([0.25, 0.5, 0.75, 0.75]),
        pytest.approx([0.1, 0.2, 0.35, 0.7]),
    ]
    assert all(one.fractions for one in first.detections)
    assert first.detections[0].classifications == [
        ClassificationRecord("Actias luna", 0.9, MOTH_NET, datetime(2022, 6, 30, 12, tzinfo=UTC))
    ]
    assert not second.detections[0].classifications
    assert not second.identifications


def test_names_by_people_are_identifications() -> None:
    (person,) = occurrences(read(SAMPLE))[0].identifications
    assert (person.label, person.person, person.comment) == (
        "Actias luna",
        "Ada Lovelace",
        "On the sheet",
    )
    assert person.timestamp == datetime(2022, 7, 1, 12, tzinfo=UTC)


def test_captures_have_place_time_and_size() -> None:
    found = read(SAMPLE)
    capture = occurrences(found)[0].detections[1].capture
    assert (capture.deployment, capture.width, capture.height) == ("Garden", 4096, 2160)
    assert capture.timestamp == datetime(2022, 6, 21, 3, tzinfo=UTC)
    assert detections(found)[0].capture.width is None
    assert empty(found) == ["garden/3.jpg"]


def test_rows_that_cannot_be_kept_are_skipped() -> None:
    assert skipped(read(SAMPLE)) == [
        ("media.csv, line 5", "wood/4.mp4", "is not a picture, and only pictures are imported"),
        ("observations.csv, line 8", "human", "is not an animal"),
        ("observations.csv, line 10", "Noctua pronuba", NO_OWN_PICTURE),
        ("observations.csv, line 7", "Noctua pronuba", "is on a medium that is not imported"),
        ("observations.csv, line 9", "Noctua pronuba", NO_BOX),
        ("media.csv, line 6", "wood/5.jpg", "has no observation of its own"),
    ]


def test_description_zip_folder_in_a_zip_and_gzip_are_read_alike(package: Path) -> None:
    expected = read(SAMPLE)
    assert read(package / "datapackage.json") == expected
    assert read(zipped(package)) == expected
    assert read(zipped(package, "export-12/")) == expected
    assert read(zipped(package, "export-12\\")) == expected
    content = gzip.compress((package / "observations.csv").read_bytes())
    (package / "observations.csv.gz").write_bytes(content)
    (package / "observations.csv").unlink()
    change(package / "datapackage.json", '"observations.csv"', '"observations.csv.gz"')
    for path in (package, zipped(package)):
        assert [type(one) for one in read(path)] == [type(one) for one in expected]


def test_table_in_several_files_and_another_encoding_is_read(package: Path) -> None:
    header, *lines = (package / "media.csv").read_text().splitlines()
    for number, part in enumerate((lines[:2], lines[2:])):
        text = "\n".join([header, *part]).replace("garden/1", "gärden/1")
        (package / f"media{number}.csv").write_bytes(text.encode("latin-1"))
    description = json.loads((package / "datapackage.json").read_text())
    description["resources"][1] |= {"path": ["media0.csv", "media1.csv"], "encoding": "ISO-8859-1"}
    describe(package, **description)
    found = read(package)
    assert occurrences(found)[0].detections[1].capture.path == "gärden/1.jpg"
    assert empty(found) == ["garden/3.jpg"]


def test_places_that_share_a_name_are_told_apart(package: Path) -> None:
    change(package / "deployments.csv", "d2,l1,Garden", "d2,l2,Garden")
    change(package / "deployments.csv", "d1,l1,Garden", "d1,l1,Garden")
    assert {one.capture.deployment for one in detections(read(package))} == {"Garden (l1)"}


def test_individual_of_another_night_is_another_occurrence(package: Path) -> None:
    change(package / "observations.csv", "o1,d1,m1,n1", "o1,d1,m1,n2")
    assert [one.key for one in occurrences(read(package))] == ["n1/moth 1", "n2/moth 1", ""]


def test_observations_of_one_box_are_one_detection(package: Path) -> None:
    row = "o{},d2,m3,n2,,,media,animal,,{},1,,,0,0,0.1,0.1,{},2022-06-30T12:00:00Z,,,\n"
    with (package / "observations.csv").open("a") as file:
        file.write(row.format(20, "Actias luna", "human,Ada"))
        file.write(row.format(21, "Actias luna", "machine,Moth net v3"))
        file.write(row.format(22, "Noctua pronuba", "human,Grace"))
    last = occurrences(read(package))[-1]
    assert len(last.detections) == 1
    assert [(one.label, one.person) for one in last.identifications] == [
        ("Actias luna", "Ada"),
        ("Noctua pronuba", "Grace"),
    ]
    assert [one.algorithm for one in last.detections[0].classifications] == [MOTH_NET]


def test_that_a_person_could_not_tell_is_an_identification(package: Path) -> None:
    row = "o{},d2,m3,n2,,,media,unknown,,,1,,,0,{},0.1,0.1,{},2022-06-30T12:00:00Z,,,\n"
    with (package / "observations.csv").open("a") as file:
        file.write(row.format(20, 0.5, "human,Ada"))
        file.write(row.format(21, 0.7, "machine,Moth net v3"))
    by_person, by_machine = occurrences(read(package))[-2:]
    assert [(one.label, one.person) for one in by_person.identifications] == [
        ("Not identifiable", "Ada")
    ]
    assert not by_machine.identifications
    assert not by_machine.detections[0].classifications


def test_name_that_only_the_event_has_from_an_algorithm_is_kept(package: Path) -> None:
    change(
        package / "observations.csv",
        "Actias luna,1,adult,moth 1,,,,,human,Ada Lovelace,2022-07-01T12:00:00Z,,",
        "Catocala ilia,1,adult,moth 1,,,,,machine,Tracker,2022-07-01T12:00:00Z,0.7,",
    )
    first = occurrences(read(package))[0]
    assert (first.label, first.identifications) == ("Catocala ilia", [])
    assert [(one.label, one.algorithm) for one in first.detections[0].classifications] == [
        ("Actias luna", MOTH_NET),
        ("Catocala ilia", AlgorithmRecord("Tracker")),
    ]


def test_classifications_of_our_own_restore_the_lineage(package: Path) -> None:
    (package / "classifications.csv").write_text(
        "classificationID,observationID,appliedTo,scientificName,probability,terminal,timestamp,"
        "algorithm,algorithmVersion\n"
        "8,o2,7,Actias luna,0.9,true,2022-06-30T12:00:00Z,Moth net,3\n"
        "7,o2,,Noctua pronuba,,false,2022-06-30T11:00:00Z,Moth net,2\n"
        "9,o2,,,0.4,true,2022-06-30T11:00:00Z,Moth net,4\n"
    )
    description = json.loads((package / "datapackage.json").read_text())
    description["resources"].append({"name": "classifications", "path": "classifications.csv"})
    describe(package, **description)
    change(package / "observations.csv", "0.9,,", "0.9,,")
    change(package / "observations.csv", ",,,On the", ",,independent:false | blind:true,On the")
    found = read(package)
    assert ("classifications.csv, line 4", "classification 9", "has no name") in skipped(found)
    first = occurrences(found)[0]
    new, former = first.detections[0].classifications
    assert (new.key, new.applied_to, new.terminal, new.algorithm) == ("8", "7", True, MOTH_NET)
    assert (former.score, former.terminal, former.algorithm) == (
        None,
        False,
        AlgorithmRecord("Moth net", 2),
    )
    (person,) = first.identifications
    assert (person.agreed_with_prediction, person.blind) == ("8", True)


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("deployments", "d3,,,", ",,,", "deployments.csv, line 4: deploymentID is empty."),
        ("deployments", "d2,", "d1,", 'line 3: deploymentID occurs twice, got "d1".'),
        ("media", "m2,", "m1,", 'media.csv, line 3: mediaID occurs twice, got "m1".'),
        ("media", "m3,d2", "m3,d9", 'must be the id of a deployment, got "d9".'),
        ("media", "garden/3.jpg,", ",", "media.csv, line 4: filePath is empty."),
        ("media", "2022-06-21T23:00", "21/6/22", "media.csv, line 4: timestamp must be a time"),
        ("observations", "o3,d1,m1", "o3,d1,m9", 'mediaID must be the id of a medium, got "m9".'),
        ("observations", "o3,d1,m1", "o3,d1,", "line 5: mediaID is empty, but the level is media."),
        ("observations", "o3,", ",", "observations.csv, line 5: observationID is empty."),
        ("observations", "media,unclassified", "photo,unclassified", "must be media or event"),
        ("observations", "unclassified", "moth", "observationType must be one of animal, blank,"),
        ("observations", "0,0,0.1,0.1,,", "0,0,0.1,,,", "line 5: bboxHeight is empty."),
        ("observations", "0,0,0.1,0.1,,", "0,x,0.1,0.1,,", 'bboxY must be a number, got "x".'),
        ("observations", "0,0,0.1,0.1,,", "0,0.95,0.1,0.1,,", "must lie within 0 and 1"),
        ("observations", "0,0,0.1,0.1,,", "0,0,0,0.1,,", "must have a width and a height above 0"),
        ("observations", "Z,0.4", "Z,40", 'Probability must be a number from 0 to 1, got "40"'),
        ("observations", "3,2022-06-30T12:00:00Z", "3,soon", "Timestamp must be a time"),
        ("observations", "Noctua pronuba", "N" * 300, "scientificName must be at most 255"),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place(
    package: Path, file: str, old: str, new: str, fault: str
) -> None:
    change(package / f"{file}.csv", old, new)
    found = read(package)
    assert fault in faults(found)[0]
    assert detections(found), "reading goes on"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("1.0.2/camtrap-dp-profile", "0.6/camtrap-dp-profile", "of Camtrap DP 0, and only 1.0"),
        ('"name": "media"', '"name": "pictures"', "names no resource media"),
        ('"path": "media.csv"', '"data": []', "media must have the path of a CSV file"),
        ('"media.csv"', '"../media.csv"', "must lie in the same folder"),
        ('"media.csv"', '"https://example.org/media.csv"', "must lie in the same folder"),
        ('"media.csv"', '"none.csv"', "has no file none.csv that can be read"),
        ('"media.csv"', '"observations.csv"', "observations.csv, line 1: has no column filePath"),
        ('"encoding": "utf-8"', '"encoding": "klingon"', "klingon', which is not known"),
        ('"resources": [', '"resources": [1, ', "must have a list of objects as resources"),
        ('"resources": [', '"resources": [,', "is not JSON"),
    ],
)
def test_package_that_cannot_be_read_is_refused(
    package: Path, old: str, new: str, sentence: str
) -> None:
    change(package / "datapackage.json", old, new)
    with pytest.raises(ImportRefusedError, match=sentence):
        list(reader_of(package).read(package))


@pytest.mark.parametrize(
    ("schema", "missing"),
    [
        ('"https://example.org/schema.json"', "NA"),
        ('"https://example.org/schema.json"', "NaN"),
        ('{"fields": [], "missingValues": ["", "-999"]}', "-999"),
    ],
)
def test_what_the_schema_calls_missing_is_an_empty_cell(
    package: Path, schema: str, missing: str
) -> None:
    described = json.loads((package / "datapackage.json").read_text())
    for one in described["resources"]:
        one["schema"] = json.loads(schema)
    (package / "datapackage.json").write_text(json.dumps(described))
    expected = read(package)
    for name in ("deployments.csv", "media.csv", "observations.csv"):
        rows = list(csv.reader((package / name).read_text().splitlines()))
        with (package / name).open("w") as file:
            csv.writer(file).writerows([[cell or missing for cell in row] for row in rows])

    assert read(package) == expected


def test_archive_with_a_password_or_damage_is_refused(package: Path) -> None:
    path = zipped(package)
    whole = path.read_bytes()
    position = whole.index(b"mediaID,deploymentID") + 30
    path.write_bytes(whole[:position] + b"\xff" + whole[position + 1 :])
    with pytest.raises(ImportRefusedError, match=r"media\.csv"):
        list(reader_of(path).read(path))


def test_package_that_is_packed_without_observations_of_media_has_no_occurrences(
    package: Path,
) -> None:
    path = package / "observations.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *(line for line in lines if ",event," in line)]))
    found = read(package)
    assert not occurrences(found)
    assert ("observations.csv, line 2", "Actias luna", NO_OWN_PICTURE) in skipped(found)

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ami.base.tests.factories import make_project
from ami.base.tests.snapshots import snapshot
from ami.exchange.tests.exports import MODELS, make_record
from ami.main.models import Project, SourceImage

pytestmark = pytest.mark.django_db


def test_two_projects_of_one_name_are_refused(import_export: Callable[..., str]) -> None:
    make_project(name="Vermont")
    make_project(name="Vermont")

    with pytest.raises(CommandError, match=r"^2 projects have the name 'Vermont' \(ids \d+, \d+\)"):
        import_export([make_record(1)])

    assert not SourceImage.objects.exists()


FAULTS = [
    (["bbox"], [1, 2, 3], "must be four finite numbers x1, y1, x2, y2, got [1, 2, 3]."),
    (["bbox"], [1, 2, 3, float("nan")], "must be four finite numbers x1, y1, x2, y2, got [1, 2,"),
    (["bbox"], [1, 2, 3, "4"], "must be four finite numbers"),
    (["bbox"], [1, 2, 3, 10**400], "must be four finite numbers"),
    (["bbox"], None, "must be four finite numbers x1, y1, x2, y2, got null."),
    (["score"], 7, "must be a number from 0 to 1, got 7."),
    (["score"], float("nan"), "must be a number from 0 to 1, got NaN."),
    (["score"], True, "must be a number from 0 to 1, got true."),
    (["timestamp"], "2022-13-45T99:00:00Z", "must be a time with its offset, such as"),
    (["timestamp"], "2022-06-21T03:00:00", "must be a time with its offset, such as"),
    (["timestamp"], "0001-01-01T00:00:00+05:00", "must be a time with its offset, such as"),
    (["timestamp"], "yesterday", 'got "yesterday".'),
    (["timestamp"], None, "got null."),
    (["timestamp"], 1655780000, "got 1655780000."),
    (["source_image_width"], 0, "must be a whole number of pixels above 0, got 0."),
    (["source_image_height"], 2**31, "must be a whole number of pixels above 0"),
    (["source_image_path"], "", 'must be a non-empty text, got "".'),
    (["label"], "x" * 256, "must be at most 255 characters long"),
    (["label"], "a\0b", "must be a text without NUL"),
    (["label"], "\ud800", "must be a text without NUL"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS)
def test_fault_is_named_by_its_path_and_nothing_is_written(
    import_export: Callable[..., str], path: list[str], value: Any, message: str
) -> None:
    data = [make_record(number) for number in range(5)]
    data[3]["examples"][1][path[0]] = value

    with pytest.raises(CommandError) as refusal:
        import_export(data)

    assert str(refusal.value).startswith(f"[3].examples[1].{path[0]}: ")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not any(snapshot(*MODELS).values())


@pytest.mark.parametrize("key", ["id", "label", "deployment", "event", "examples"])
def test_missing_key_of_an_occurrence_is_named(import_export: Callable[..., str], key: str) -> None:
    data = [make_record(1), make_record(2)]
    del data[1][key]

    with pytest.raises(CommandError) as refusal:
        import_export(data)

    assert str(refusal.value) == f"[1].{key}: is missing."


@pytest.mark.parametrize(
    "key",
    ["source_image_path", "source_image_width", "timestamp", "bbox", "label", "score"],
)
def test_missing_key_of_a_detection_is_named(import_export: Callable[..., str], key: str) -> None:
    data = [make_record(1)]
    del data[0]["examples"][0][key]

    with pytest.raises(CommandError) as refusal:
        import_export(data)

    assert str(refusal.value) == f"[0].examples[0].{key}: is missing."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event": 5}, "[0].event: must be an object, got 5."),
        ({"event": None}, "[0].event: must be an object, got null."),
        ({"event": {"day": "2022-02-30"}}, "[0].event.day: must be a date, such as"),
        ({"event": {}}, "[0].event.day: is missing."),
        ({"examples": []}, "[0].examples: must be a list of at least one detection, got []."),
        ({"examples": [3]}, "[0].examples[0]: must be an object, got 3."),
        ({"deployment": None}, "[0].deployment: must be a non-empty text, got null."),
    ],
)
def test_fault_of_an_occurrence_is_named(
    import_export: Callable[..., str], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        import_export([make_record(0) | change])

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON: "),
        (b"", "is not JSON: "),
        (b"[" * 200_000, "too many nested levels"),
        (b'{"a": 1}', 'must contain a list of at least one occurrence, got {"a": 1}.'),
        (b"[]", "must contain a list of at least one occurrence, got []."),
        (b"[3]", "[0]: must be an object, got 3."),
        (b"\xff\xfe[", "is not UTF-8 text (see byte 0)"),
        (b"[" + b"9" * 5000 + b"]", "is not JSON: "),
    ],
)
def test_what_is_no_export_is_refused(
    import_export: Callable[..., str], content: bytes, message: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        import_export(content)

    assert message in str(refusal.value)
    assert not Project.objects.exists()


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CommandError, match=message):
            call_command("import_occurrences", str(path), "--project=Vermont")


def test_first_ten_faults_are_listed(import_export: Callable[..., str]) -> None:
    data = [make_record(number, captures=1) for number in range(12)]
    for record in data:
        record["examples"][0]["score"] = 2

    with pytest.raises(CommandError) as refusal:
        import_export(data)

    lines = str(refusal.value).splitlines()
    assert len(lines) == 11
    assert lines[9].startswith("[9].examples[0].score: ")
    assert lines[10] == "… and 2 more."


def test_detection_told_twice_is_refused(import_export: Callable[..., str]) -> None:
    first, second = make_record(1), make_record(2)
    second["examples"][1] = deepcopy(first["examples"][0])

    with pytest.raises(
        CommandError, match=r"^\[1\]\.examples\[1\]: is the same detection as \[0\]"
    ):
        import_export([first, second])


def test_occurrence_told_twice_is_refused(import_export: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match=r'\[1\]\.id: "occurrence-1" is also at \[0\]\.id'):
        import_export([make_record(1), make_record(1)])


def test_capture_told_in_two_ways_is_refused(import_export: Callable[..., str]) -> None:
    first, second = make_record(1), make_record(2)
    second["examples"][1]["source_image_width"] = 100

    with pytest.raises(
        CommandError, match=r"^\[1\]\.examples\[1\]: time, size or night of capture"
    ):
        import_export([first, second])


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_impossible_project_name_is_refused(import_export: Callable[..., str], name: str) -> None:
    with pytest.raises(CommandError, match=r"^--project: must be"):
        import_export([make_record(1)], project=name)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from ami.base.tests.factories import make_project
from ami.base.tests.snapshots import snapshot
from ami.exchange.importing.options import ImportOptions
from ami.exchange.importing.service import new_import
from ami.exchange.importing.work import ImportWork
from ami.exchange.reading.registry import READERS
from ami.exchange.tests.exports import MODELS, make_example, make_record
from ami.exchange.tests.reading import SAMPLES
from ami.exchange.tests.uploads import imported
from ami.jobs.models import Job
from ami.jobs.states import JobFailedError, JobState
from ami.main.models import Project, SourceImage, Taxon

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folder")]


def test_two_projects_of_one_name_are_refused(import_export: Callable[..., str]) -> None:
    make_project(name="Vermont")
    make_project(name="Vermont")

    with pytest.raises(CommandError, match=r"^2 projects have the name 'Vermont' \(ids \d+, \d+\)"):
        import_export([make_record(1)])

    assert not SourceImage.objects.exists()


def test_two_projects_of_one_name_stop_no_other_job(project: Project) -> None:
    """A queued import that names its project waits for nobody and lets nobody wait for it."""
    reader = READERS["antenna_examples"]
    named = new_import(reader, ImportOptions(), name="a.json", project=None, project_name="Two")
    named.save()
    Job.objects.filter(pk=named.pk).update(status=JobState.STARTED, admitted_at=timezone.now())
    for _ in range(2):
        make_project(name="Two")

    assert imported([make_record(1)], project).status == JobState.SUCCESS
    with pytest.raises(JobFailedError, match="2 projects have the name 'Two'"):
        ImportWork(named).plan()


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("_", '[0].examples[0]: the label "_" contains no name.'),
        (
            "\u0958" * 255,  # two characters in the normal form
            "characters long, got 510.",
        ),
    ],
)
def test_labels_without_a_possible_name_are_refused(
    import_export: Callable[..., str], label: str, told: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        import_export([make_record(1, examples=[make_example(1, 0, label=label)])])

    assert told in str(refusal.value)
    assert not Taxon.objects.exists()


def test_the_longest_path_is_stored(import_export: Callable[..., str]) -> None:
    path = "".join(chr(0x10000 + 7919 * number % 0xFFFF) for number in range(650))
    import_export([make_record(1, examples=[make_example(1, 0, source_image_path=path)])])

    assert SourceImage.objects.get().path == path


FAULTS = [
    (["bbox"], [1, 2, 3], "must be four finite numbers x1, y1, x2, y2, got [1, 2, 3]."),
    (["bbox"], [1, 2, 3, "4"], "must be four finite numbers"),
    (["bbox"], None, "is missing."),
    (["score"], 7, "must be a number from 0 to 1, got 7."),
    (["score"], True, "must be a number from 0 to 1, got true."),
    (["timestamp"], "2022-13-45T99:00:00Z", "must be a time with its offset, such as"),
    (["timestamp"], "2022-06-21T03:00:00", "must be a time with its offset, such as"),
    (["timestamp"], "0001-01-01T00:00:00+05:00", "must be a time with its offset, such as"),
    (["timestamp"], "yesterday", 'got "yesterday".'),
    (["timestamp"], None, "is missing."),
    (["timestamp"], 1655780000, "got 1655780000."),
    (["source_image_width"], 0, "must be a whole number of pixels above 0, got 0."),
    (["source_image_height"], 2**31, "must be a whole number of pixels above 0"),
    (["source_image_path"], "", 'must be a non-empty text, got "".'),
    (["label"], "x" * 256, "must be at most 255 characters long"),
    (["label"], "a\0b", "must be a text without NUL"),
    (["label"], "\u200f", "must be a non-empty text"),
    (["source_image_path"], "\N{BUTTERFLY}" * 651, "must be at most 2,600 bytes long"),
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


@pytest.mark.parametrize("key", ["id", "label", "event", "examples"])
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
        ({"event": None}, "[0].event: is missing."),
        ({"event": {"day": "2022-02-30"}}, "[0].event.day: must be a date, such as"),
        ({"event": {}}, "[0].event.day: is missing."),
        ({"examples": []}, "[0].examples: must be a list of at least one detection, got []."),
        ({"examples": [3]}, "[0].examples[0]: must be an object, got 3."),
        ({"deployment": None}, "[0]: names no deployment. Set the option “Deployment”"),
        ({"deployment": 3}, "[0].deployment: must be a non-empty text, got 3."),
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
        (b"{", "is a JSON object, which is in none of the formats that can be imported: "),
        (b"", "is empty."),
        (b"  \n", "is empty."),
        (b"[" * 200_000, "is a JSON list, which is in none of the formats"),
        (b'[{"label": 1, "examples": ' + b"[" * 200_000, "more than 100 levels of values."),
        (b'{"a": 1}', "is a JSON object with a, which is in none of the formats"),
        (b"[]", "is a JSON list, which is in none of the formats"),
        (b"[3]", "is a JSON list, which is in none of the formats"),
        (
            b'[{"label": 1, "examples": [{"bbox": [1, NaN',
            "is not JSON: lexical error: invalid char",
        ),
        (b'[{"label": 1, "examples": [' + b"9" * 5000, "is not JSON: parse error: "),
        (b'[{"label": 1, "examples": [', "is not JSON: "),
        (
            b'[{"label": "\xff", "examples": []}]',
            "lexical error: invalid bytes in UTF8",
        ),
        (b"\xff\xfe[", "is not UTF-16 text"),
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
    for path, message in (
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "is a folder, which is in none"),
    ):
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


def test_occurrence_told_twice_is_refused(import_export: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match=r"^\[1\]: has the same id as \[0\]; each"):
        import_export([make_record(1), make_record(1)])


def test_capture_told_in_two_ways_is_refused(import_export: Callable[..., str]) -> None:
    first, second = make_record(1), make_record(2)
    second["examples"][1]["source_image_width"] = 100

    with pytest.raises(
        CommandError,
        match=r"^\[1\]\.examples\[1\]: tells another time, size or night of its capture than \[0\]",
    ):
        import_export([first, second])


def test_capture_of_which_one_row_does_not_tell_the_time_is_no_contradiction(
    tmp_path: Path,
) -> None:
    lines = (SAMPLES / "antenna_csv.csv").read_text().splitlines()
    several, one = lines[1], lines[2].replace("trap/33", "trap/31")
    path = tmp_path / "occurrences.csv"
    path.write_text("\n".join([lines[0], several, one]))

    call_command("import_occurrences", str(path), "--project=Vermont")

    assert SourceImage.objects.get().timestamp is not None


@pytest.mark.parametrize("name", ["", "x" * 256])
def test_impossible_project_name_is_refused(import_export: Callable[..., str], name: str) -> None:
    with pytest.raises(CommandError, match=r"^--project: must be"):
        import_export([make_record(1)], project=name)

"""The command `export`, its scopes, and the CSV formats."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError

import ami
from ami.base.spreadsheets import protected, unprotected
from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_detection,
    make_occurrence,
    make_project,
    make_user,
)
from ami.exchange.export.columns import COLUMNS
from ami.exchange.export.registry import FORMATS, ExportError, ExportOptions
from ami.exchange.export.run import write_file
from ami.exchange.export.scope import Scope
from ami.exchange.tests.export_world import World, csv_rows, exported, run_export
from ami.main.models import Event, SourceImage

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return World()


def test_csv_tells_what_is_known_and_where_it_comes_from(world: World, tmp_path: Path) -> None:
    first, second = csv_rows(exported("csv", world.scope, tmp_path).path)
    assert first == {
        "occurrence_id": str(world.first.pk),
        "project": "Vermont",
        "deployment": "Trap 1",
        "latitude": "44.5",
        "longitude": "-72.5",
        "time_zone": "America/New_York",
        "night": "2022-06-20",
        "first_seen": "2022-06-20T19:00:00-04:00",
        "last_seen": "2022-06-20T19:00:00-04:00",
        "detections": "2",
        "taxon": "Acronicta impleta",
        "rank": "species",
        "order": "",
        "family": "Noctuidae",
        "genus": "Acronicta",
        "gbif_taxon_key": "1793",
        "score": "1.0",
        "determined_by": "human",
        "identified_by": "Ada",
        "identified_at": first["identified_at"],
        "how_identified": "agreed with a person",
        "independent": "false",
        "people": "2",
        "prediction": "Acronicta rumicis",
        "prediction_score": "0.8",
        "predicted_at": "2022-06-20T19:00:00-04:00",
        "algorithm": "Moth net",
        "algorithm_version": "3",
        "method": "Class masking",
        "options": json.dumps(world.job.params["config"]),
        "run": str(world.job.pk),
        "taxa_list": "Moths of Vermont",
        "software": f"ami {ami.__version__}",
        "crop": f"crops/{world.first.pk}-{world.captures[1].pk}.jpg",
        "capture": "night/b.jpg",
        "box_x1": "100.0",
        "box_y1": "100.0",
        "box_x2": "200.0",
        "box_y2": "200.0",
    }
    assert (second["determined_by"], second["identified_by"], second["independent"]) == (
        "machine",
        "",
        "",
    )


def test_antenna_csv_has_the_columns_of_antenna(world: World, tmp_path: Path) -> None:
    first, second = csv_rows(exported("antenna_csv", world.scope, tmp_path).path)
    assert first["verification_status"] == "Verified"
    assert (first["verified_by"], first["participant_count"]) == ("Ada", "2")
    assert first["agreed_with_user"] == f"Person {world.people[1].pk}"
    assert first["determination_matches_machine_prediction"] == "False"
    assert first["first_appearance_timestamp"] == "2022-06-20T19:00:00"
    assert (first["duration"], first["detections_count"]) == ("00:00:00", "2")
    assert json.loads(first["best_detection_bbox"]) == [100, 100, 200, 200]
    assert (second["verification_status"], second["best_machine_prediction_name"]) == (
        "Not verified",
        "Acronicta rumicis",
    )


def test_addresses_come_before_relative_paths(world: World, tmp_path: Path) -> None:
    written = exported("csv", world.scope, tmp_path, media_url="https://images.example.org")
    assert csv_rows(written.path)[0]["capture"] == "https://images.example.org/night/b.jpg"


ODD_PATHS = {
    "/night 1/a#b?.jpg": "night%201/a%23b%3F.jpg",
    "100%/25%20.jpg": "100%25/25%2520.jpg",
    "Nächte/+&=\U0001f98b.jpg": "N%C3%A4chte/%2B%26%3D%F0%9F%A6%8B.jpg",
    "https://other.example.org/a b.jpg": None,
}


@pytest.mark.parametrize("path", ODD_PATHS)
def test_paths_within_addresses_are_percent_encoded(
    world: World, tmp_path: Path, path: str
) -> None:
    SourceImage.objects.filter(pk=world.captures[1].pk).update(path=path)

    written = exported("csv", world.scope, tmp_path, media_url="https://images.example.org")

    expected = ODD_PATHS[path]
    address = csv_rows(written.path)[0]["capture"]
    assert address == (f"https://images.example.org/{expected}" if expected else path)
    assert csv_rows(exported("csv", world.scope, tmp_path).path)[0]["capture"] == path


def test_occurrence_that_nothing_is_known_of_is_a_row(world: World, tmp_path: Path) -> None:
    bare = make_occurrence(deployment=world.deployment)
    for key in ("csv", "antenna_csv"):
        row = csv_rows(exported(key, world.scope, tmp_path).path)[-1]
        assert str(bare.pk) in {row.get("occurrence_id"), row.get("id")}


def ids(written: Any) -> list[int]:
    return [int(row["occurrence_id"]) for row in csv_rows(written.path)]


def test_scopes_limit_the_rows(world: World, tmp_path: Path) -> None:
    other_night = Event.objects.create(
        project=world.project, deployment=world.deployment, group_by="2022-06-21"
    )
    capture = make_capture(deployment=world.deployment, event=other_night)
    later = make_occurrence(deployment=world.deployment, event=other_night)
    make_detection(source_image=capture, occurrence=later)
    make_occurrence()  # of another project
    chosen = make_capture_set([world.captures[1]])
    pk, both = world.project.pk, [world.first.pk, world.second.pk]
    for scope, found in (
        (Scope(pk), [*both, later.pk]),
        (Scope(pk, event_id=other_night.pk), [later.pk]),
        (Scope(pk, collection_id=chosen.pk), [world.first.pk]),
        (Scope(pk, occurrence_ids=frozenset([world.second.pk])), [world.second.pk]),
    ):
        assert ids(exported("csv", scope, tmp_path)) == found


def test_command_writes_tells_and_records(world: World, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    out, err = run_export("csv", "--project", world.project.pk, "-o", path)
    assert out == f"Wrote {path} ({path.stat().st_size:,} bytes).\n"
    assert not err
    assert len(csv_rows(path)) == 2
    entry = LogEntry.objects.get()
    assert (entry.change_message, entry.object_id) == (
        "Exported as CSV for spreadsheets.",
        str(world.project.pk),
    )
    out, _ = run_export("csv", "--project", world.project.pk, "-o", path, "--format=json")
    assert json.loads(out) == {"file": str(path), "problems": [], "problems_file": "", "error": ""}


def test_command_names_what_is_wrong(world: World, tmp_path: Path) -> None:
    path, project = tmp_path / "out.csv", world.project.pk
    foreign = Event.objects.create(project=make_project(), group_by="2022-06-20")
    for arguments, told in (
        (["--project", 999], "There is no project with the id 999."),
        (["--project", project, "--event", foreign.pk], f"no night with the id {foreign.pk}"),
        (["--project", project, "--media-url", "ftp://x"], "--media-url must be an address"),
        (["--project", project, "--as", make_user().email], "lacks exchange.add_export"),
    ):
        with pytest.raises(CommandError, match=told):
            run_export("csv", "-o", path, *arguments)
    with pytest.raises(CommandError, match="cannot be written: No such file"):
        run_export("csv", "-o", tmp_path / "none" / "out.csv", "--project", project)
    assert not list(tmp_path.iterdir())


def test_pipe_is_not_replaced_and_a_link_stays(world: World, tmp_path: Path) -> None:
    pipe, target, link = (tmp_path / name for name in ("pipe", "export.csv", "link.csv"))
    os.mkfifo(pipe)
    link.symlink_to(target)
    with pytest.raises(ExportError, match="pipe is not a file; give the name of a file"):
        write_file(FORMATS["csv"], world.scope, ExportOptions(), pipe)
    assert pipe.is_fifo()
    write_file(FORMATS["csv"], world.scope, ExportOptions(), link)
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8-sig").startswith("occurrence")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.csv", "link.csv", "pipe"]


def test_export_that_fails_leaves_the_former_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "export.csv"
    path.write_text("former")

    def fail(*args: Any) -> Callable[..., Any]:
        raise RuntimeError

    monkeypatch.setattr("ami.exchange.export.formats.plain_csv.cells", fail)
    with pytest.raises(RuntimeError):
        exported("csv", world.scope, tmp_path)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("export.csv", "former")]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("Acronicta", "Acronicta"),
        ("=1+1", "'=1+1"),
        ("-x", "'-x"),
        ("'=x", "''=x"),
        ("'quoted'", "'quoted'"),
        ("", ""),
        ("\ta", "'\ta"),
    ],
)
def test_text_that_a_spreadsheet_would_compute_comes_back_as_it_was(text: str, cell: str) -> None:
    assert protected(text) == cell
    assert unprotected(cell) == text


def test_answer_of_a_review_that_showed_the_name_is_not_independent(tmp_path: Path) -> None:
    world = World()
    said = world.first.identifications
    said.update(agreed_with_identification=None, sample=1, blind=False)
    assert csv_rows(exported("csv", world.scope, tmp_path).path)[0]["independent"] == "false"
    said.update(blind=True)
    assert csv_rows(exported("csv", world.scope, tmp_path).path)[0]["independent"] == "true"


def test_names_in_files_are_protected_and_numbers_are_not(tmp_path: Path) -> None:
    world = World(deployment='=HYPERLINK("x")', human="+Moth", person="@Ada")
    for key in ("csv", "antenna_csv"):
        text = exported(key, world.scope, tmp_path).path.read_text(encoding="utf-8-sig")
        assert '"\'=HYPERLINK(""x"")"' in text
        assert "'+Moth" in text
        assert "'@Ada" in text
    assert ",-72.5," in exported("csv", world.scope, tmp_path).path.read_text()


def test_page_of_the_format_names_every_column() -> None:
    page = (settings.ROOT / "docs/reference/formats/csv.md").read_text()
    assert [f"| `{name}` | {told} |" for name, _, told in COLUMNS] == [
        line for line in page.splitlines() if line.startswith("| `")
    ]

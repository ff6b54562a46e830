"""The reader of results of pipelines, in a folder of files, or its zip archive."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from django.test import override_settings

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading import files
from ami.exchange.reading.registry import reader_of
from ami.exchange.tests.reading import SAMPLES, faults, items, occurrences, skipped, with_change
from ami.exchange.uploads import delete_forgotten

KEY = "pipeline_results"


@pytest.fixture
def document() -> Any:
    return json.loads((SAMPLES / f"{KEY}.json").read_text())


@pytest.fixture
def folder(tmp_path: Path, document: Any) -> Path:
    """Two files of results, a picture and a hidden file."""
    for name in ("b.json", "a.json", ".c.json"):
        (tmp_path / name).write_text(json.dumps(document))
    (tmp_path / "a.jpg").write_bytes(b"\xff")
    return tmp_path


def test_a_folder_is_read_file_by_file_in_the_order_of_names(folder: Path) -> None:
    found = occurrences(items(folder, KEY))

    assert [one.place for one in found] == [
        f"{name}: detections[{number}]" for name in ("a.json", "b.json") for number in range(3)
    ]
    first, last = found[0].detections[0], found[3].detections[0]
    assert first.classifications[1].algorithm is last.classifications[1].algorithm


def test_a_file_of_a_folder_that_is_no_result_is_a_fault(folder: Path, document: Any) -> None:
    (folder / "b.json").write_text(json.dumps(document)[:-40])
    (folder / "c.json").write_text("[]")

    told = faults(items(folder, KEY))

    assert [one.partition(":")[0] for one in told] == ["b.json", "c.json", "c.json"]
    assert told[0].startswith("b.json: is not JSON: ")
    assert "c.json: detections: must be a list, which may be empty." in told


def test_an_algorithm_has_the_same_labels_in_all_files(folder: Path, document: Any) -> None:
    other = with_change(
        document, ("algorithms", "moth-net-3", "category_map"), {"labels": ["a", "b", "c"]}
    )
    (folder / "b.json").write_text(json.dumps(other))

    told = faults(items(folder, KEY))

    assert told[0] == (
        "b.json: algorithms.moth-net-3.category_map.labels: differ from the labels of 'Moth net', "
        "version 3, before; give other labels another version."
    )


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")

    with pytest.raises(
        ImportRefusedError, match=r"is a folder with a\.json, b\.json, which is in none"
    ):
        reader_of(tmp_path)


@pytest.fixture
def zipped(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Packs the folder, and other members by their names."""

    def pack(below: str = "", **others: bytes) -> Path:
        path = tmp_path / "results.zip"
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for one in folder.iterdir():
                if one != path:
                    archive.writestr(f"{below}{one.name}", one.read_bytes())
            for name, content in others.items():
                archive.writestr(name, content)
        return path

    return pack


@pytest.fixture(autouse=True)
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of temporary files, which must be empty at the end."""
    root = tmp_path_factory.mktemp("media")
    with override_settings(MEDIA_ROOT=root):
        delete_forgotten()
        yield root
        assert not [one for one in root.rglob("*") if one.is_file()]


@pytest.mark.parametrize("below", ["", "out/", "../out/", "/out/", "C:\\out\\"])
def test_a_zip_is_read_like_its_folder(
    folder: Path, zipped: Callable[..., Path], uploads: Path, below: str
) -> None:
    expected = items(folder, KEY)

    path = zipped(below, **{"__MACOSX/._a.json": b"\0", "out/notes.txt": b"-"})

    found = items(path, KEY)
    assert len(found) == len(expected)
    assert [one.place for one in found] == [f"{below}{one.place}" for one in expected]
    assert occurrences(found)[0].detections[0].classifications == (
        occurrences(expected)[0].detections[0].classifications
    )
    assert not (uploads.parent / "out").exists()


def test_faults_of_a_zip_have_the_names_of_its_files(
    folder: Path, document: Any, zipped: Callable[..., Path]
) -> None:
    (folder / "b.json").write_text(json.dumps(document)[:-40])
    (folder / "c.json").write_text("[]")

    told = faults(items(zipped("out/"), KEY))

    assert told[0].startswith("out/b.json: is not JSON: ")
    assert "out/c.json: detections: must be a list, which may be empty." in told


def test_an_archive_within_the_archive_is_listed(zipped: Callable[..., Path]) -> None:
    found = items(zipped(**{"more/b.zip": b"PK\x03\x04", "c.json.gz": b"-"}), KEY)

    told = "is an archive within the archive, and is not read"
    assert skipped(found)[-2:] == [(name, name, told) for name in ("more/b.zip", "c.json.gz")]


def test_a_bomb_is_refused(
    zipped: Callable[..., Path], document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SMALL", 2**20)
    path = zipped(**{"z.json": json.dumps(document).encode() + b" " * 2**25})

    with pytest.raises(
        ImportRefusedError, match=r"results\.zip would unpack to 33,\d+,\d+ bytes, more than 200"
    ):
        reader_of(path)


def test_a_file_of_an_archive_has_a_size_that_could_be_uploaded(
    zipped: Callable[..., Path], document: Any
) -> None:
    path = zipped(**{"z.json": json.dumps(document).encode() + b" " * 2**20})

    with override_settings(IMPORT_MAX_BYTES=2**20):
        told = faults(items(path, KEY))

    assert len(told) == 1
    assert told[0].startswith("z.json: has 1,05")
    assert "a file of an archive may have 1,048,576 (IMPORT_MAX_BYTES). Divide it" in told[0]


def test_a_damaged_file_of_an_archive_is_a_fault(zipped: Callable[..., Path]) -> None:
    path = zipped()
    with ZipFile(path) as archive:
        member = archive.getinfo("b.json")
    whole = path.read_bytes()
    at = member.header_offset + 30 + len(member.filename) + member.compress_size // 2
    path.write_bytes(whole[:at] + b"\xff\xff" + whole[at + 2 :])

    (told,) = faults(items(path, KEY))

    assert told.startswith("b.json: Cannot read b.json: ")


def test_an_archive_with_a_password_or_without_files_is_refused(
    zipped: Callable[..., Path], tmp_path: Path
) -> None:
    path = zipped()
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02")
    whole[at + 8] |= 1  # of the flags in the directory
    path.write_bytes(whole)
    with pytest.raises(ImportRefusedError, match="has a password; pack the files again"):
        reader_of(path)
    with ZipFile(path, "w"):
        pass
    with pytest.raises(ImportRefusedError, match="is a zip archive without files"):
        reader_of(path)

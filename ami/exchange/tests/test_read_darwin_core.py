"""Darwin Core Archives."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import pytest

from ami.exchange import tables
from ami.exchange.base import ImportRefusedError
from ami.exchange.importing.options import Boxes
from ami.exchange.reading.records import CaptureRecord, EmptyCapture, Item
from ami.exchange.reading.registry import reader_of
from ami.exchange.tests.reading import SAMPLES, empty, faults, items, occurrences, skipped

SAMPLE = SAMPLES / "darwin_core"
NO_BOX = "has no box, without which nothing is imported"
NO_OWN_PICTURE = "has no box, and no picture of its own"
OCCURRENCE_CORE = """<archive xmlns="http://rs.tdwg.org/dwc/text/">
  <core encoding="windows-1252" fieldsTerminatedBy="," fieldsEnclosedBy='"' ignoreHeaderLines="0"
        rowType="http://rs.tdwg.org/dwc/terms/Occurrence">
    <files><location>a.csv</location><location>b.csv</location></files>
    <id index="1" />
    <field index="0" term="http://rs.tdwg.org/dwc/terms/scientificName"/>
    <field index="2" term="http://rs.tdwg.org/dwc/terms/eventDate"/>
    <field default="Garden" term="http://rs.tdwg.org/dwc/terms/locality"/>
  </core>
  <extension encoding="UTF-8" fieldsTerminatedBy="," fieldsEnclosedBy="" ignoreHeaderLines="1"
        rowType="http://rs.tdwg.org/ac/terms/Multimedia">
    <files><location>media.csv</location></files>
    <coreid index="0" />
    <field index="1" term="http://purl.org/dc/terms/identifier"/>
    <field index="2" term="http://purl.org/dc/elements/1.1/type"/>
    <field index="3" term="http://rs.tdwg.org/ac/terms/accessURI"/>
    <field index="4" term="http://ns.adobe.com/xap/1.0/CreateDate"/>
  </extension>
</archive>"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A copy of the sample, to be changed."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "archive"))


def read(path: Path) -> list[Item]:
    return items(path, "darwin_core")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())


def test_pictures_are_captures_and_occurrences_are_skipped() -> None:
    found = read(SAMPLE)
    assert [one.capture for one in found if isinstance(one, EmptyCapture)] == [
        CaptureRecord(
            'Garden "old"',
            "https://images.example.org/1.jpg",
            datetime(2022, 6, 21, 3, tzinfo=UTC),
        ),
        CaptureRecord(
            "l2", "https://images.example.org/2.jpg", datetime(2022, 6, 22, 3, tzinfo=UTC)
        ),
    ]
    assert skipped(found) == [
        ("occurrence.csv, line 2", "Actias luna (Linnaeus, 1758)", NO_OWN_PICTURE),
        ("occurrence.csv, line 3", "Noctua pronuba", NO_OWN_PICTURE),
        (
            "multimedia.txt, line 5",
            "https://images.example.org/3.wav",
            "is not a picture, and only pictures are imported",
        ),
    ]


def test_zip_folder_in_a_zip_and_description_are_read_alike(archive: Path) -> None:
    expected = read(SAMPLE)
    for folder in ("", "dwca-12/"):
        path = archive.with_suffix(".zip")
        with ZipFile(path, "w") as packed:
            for file in archive.iterdir():
                packed.write(file, f"{folder}{file.name}")
        assert read(path) == expected
    assert read(archive / "meta.xml") == expected


def test_core_of_occurrences_in_two_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "meta.xml").write_text(OCCURRENCE_CORE)
    (tmp_path / "a.csv").write_bytes('"Noctuä, sp.",1,2022-06-20T23:00:00\n'.encode("cp1252"))
    (tmp_path / "b.csv").write_bytes(b"Actias luna,2,2022-06\n\n")
    (tmp_path / "media.csv").write_text(
        "occurrenceID,identifier,type,accessURI,CreateDate\n"
        "1,m1,StillImage,https://example.org/m1/file,\n"
        "2,m1,StillImage,https://example.org/m1/file,\n"
        "2,m2,StillImage,https://example.org/m2/file,2022-06-21T01:00:00Z\n"
    )
    found = read(tmp_path)
    assert not faults(found)
    shared = "has no box, and shares its picture with others that have none"
    assert skipped(found) == [
        ("media.csv, line 2", "Noctuä, sp.", shared),
        ("media.csv, line 3", "Actias luna", shared),
        ("media.csv, line 4", "Actias luna", NO_BOX),
    ]
    kept = occurrences(items(tmp_path, "darwin_core", boxes=Boxes.WHOLE))
    assert [(one.key, [each.place for each in one.detections]) for one in kept] == [
        ("2", ["media.csv, line 4"])
    ]
    assert [one.capture for one in found if isinstance(one, EmptyCapture)] == [
        CaptureRecord("Garden", "https://example.org/m1/file", datetime(2022, 6, 20, 23)),
        CaptureRecord(
            "Garden", "https://example.org/m2/file", datetime(2022, 6, 21, 1, tzinfo=UTC)
        ),
    ]


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("event.txt", "n2\t", "n1\t", 'event.txt, line 3: The id occurs twice, got "n1".'),
        ("event.txt", "n2\t", "\t", 'event.txt, line 3: The id is empty, got "".'),
        ("event.txt", "\tl2", f"\t{'l' * 300}", "event.txt, line 3: locationID must be at most"),
        ("multimedia.txt", "n2\t", "n9\t", 'must be that of a row of the core, got "n9"'),
        ("multimedia.txt", "https://images.example.org/2.jpg", "", "line 3: identifier is empty."),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place(
    archive: Path, file: str, old: str, new: str, fault: str
) -> None:
    change(archive / file, old, new)
    found = read(archive)
    assert fault in faults(found)[0]
    assert empty(found), "reading goes on"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("<?xml version", "<xml version", "meta.xml is not XML"),
        ("<archive", '<!DOCTYPE a [<!ENTITY b "ha">]><archive', "has a document type"),
        ("core", "kernel", "meta.xml is not XML"),
        ("terms/Event", "terms/Taxon", r"is a name list\. Import it with import_taxa\."),
        ("terms/Event", "terms/Odd", r"is an archive of Odd rows, not of events or occurrences\."),
        ("event.txt", "../event.txt", "must lie in the same folder"),
        ("event.txt", "events.txt", "has no file events.txt that can be read"),
        ('encoding="UTF-8" fields', 'encoding="hex" fields', 'names the encoding "hex"'),
        (r'By="\t"', 'By="||"', "fieldsTerminatedBy must be one character"),
        ('ignoreHeaderLines="1"', 'ignoreHeaderLines="-1"', "must be a whole number"),
    ],
)
def test_archive_that_cannot_be_read_is_refused(
    archive: Path, old: str, new: str, sentence: str
) -> None:
    change(archive / "meta.xml", old, new)
    with pytest.raises(ImportRefusedError, match=sentence):
        list(reader_of(archive).read(archive))


def test_file_in_another_encoding_than_described_is_refused(archive: Path) -> None:
    (archive / "event.txt").write_bytes("n1\tGärten\n".encode("latin-1"))
    with pytest.raises(ImportRefusedError, match=r"event\.txt is not utf-8"):
        list(reader_of(archive).read(archive))


def test_archive_without_a_core_is_refused(archive: Path) -> None:
    (archive / "meta.xml").write_text('<archive xmlns="http://rs.tdwg.org/dwc/text/"/>')
    with pytest.raises(ImportRefusedError, match="describes no core"):
        list(reader_of(archive).read(archive))


@pytest.mark.parametrize("quote", ["", "&quot;"])
def test_a_line_that_no_table_has_is_refused(
    archive: Path, monkeypatch: pytest.MonkeyPatch, quote: str
) -> None:
    monkeypatch.setattr(tables, "LONGEST_LINE", 2000)
    meta = archive / "meta.xml"
    meta.write_text(meta.read_text().replace('fieldsEnclosedBy=""', f'fieldsEnclosedBy="{quote}"'))
    with (archive / "event.txt").open("a") as file:
        file.write("x" * 2001)
    with pytest.raises(ImportRefusedError, match=r"event.txt is not a table: line \d+ has more"):
        read(archive)

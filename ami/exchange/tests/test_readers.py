"""What every registered reader must do."""

import gzip
import re
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading import json_stream
from ami.exchange.reading.records import (
    DeploymentRecord,
    EmptyCapture,
    Fault,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import READERS, reader_of
from ami.exchange.reading.start import start_of
from ami.exchange.tests.enlarged import enlarge
from ami.exchange.tests.reading import SAMPLES

DOCS = settings.ROOT / "docs" / "reference" / "formats"
OBJECTS = (OccurrenceRecord, EmptyCapture, DeploymentRecord, Fault, Skipped)
PIECES = (b"", b"\0", b"{", b"]", b'"', b",", b"\n", b"\xff", b"\xc3")
VALUE = re.compile(rb'"[^"]*"|[\w.:-]+')
ODD = (
    *(b"null", b"true", b'""', b"[]", b"{}", b"[[1]]", b'{"a": {"b": []}}', b'["a", 1]'),
    *(b"-1", b"0", b"1e999", b"1e308", b"99999999999999999999", b"9" * 5000, b"NaN", b"Infinity"),
    *(b'"\\u0000"', b'"\\ud800"', b'"%s"' % (b"x" * 1100), b'" "', "\u202e\u2028".encode()),
    *(b"2022-13-45T99:00:00", b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59-14:00"'),
)


def sample_of(key: str) -> Path:
    """The sample file or folder of a reader."""
    (found,) = (one for one in SAMPLES.iterdir() if one.name.partition(".")[0] == key)
    return found


@pytest.fixture(params=READERS)
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_one_module_is_one_reader_with_a_page_and_a_sample() -> None:
    formats = import_module("ami.exchange.reading.formats")
    modules = {module.name for module in iter_modules(formats.__path__)}
    assert modules == set(READERS)
    index = (DOCS / "index.md").read_text()
    for key, reader in READERS.items():
        assert reader.key == key
        assert "## Reading" in (DOCS / f"{key}.md").read_text(), key
        assert f"\n{key}\n" in index, key
        assert sample_of(key).exists()


def test_sample_is_recognised_by_its_reader_alone(key: str) -> None:
    start = start_of(sample_of(key))
    assert [one for one, reader in READERS.items() if reader.recognises(start)] == [key]
    assert reader_of(sample_of(key)).key == key


def test_sample_is_refused_as_another_format(key: str) -> None:
    other = next(one for one in READERS if one != key)
    with pytest.raises(ImportRefusedError, match=rf"is {READERS[key].name} \({key}\), not "):
        reader_of(sample_of(key), key=other)


def test_sample_is_read_without_faults_and_twice_the_same(key: str) -> None:
    found = list(READERS[key].read(sample_of(key)))
    assert found
    assert not [one for one in found if isinstance(one, Fault)]
    assert list(READERS[key].read(sample_of(key))) == found
    for one in found:
        assert isinstance(one, OBJECTS)
        if isinstance(one, OccurrenceRecord):
            assert one.detections


def test_memory_does_not_grow_with_the_file(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", 2**14)
    small, few = peak_of(key, enlarge(sample_of(key), tmp_path, 50))
    large, many = peak_of(key, enlarge(sample_of(key), tmp_path, 400))
    assert many > 5 * few
    # A table of ids may grow, but records may not: each has a thousand bytes or more.
    assert large - small < 300 * (many - few)


def peak_of(key: str, path: Path) -> tuple[int, int]:
    """The most memory in bytes that reading the path takes at a time, and how much it yields."""
    for _ in READERS[key].read(path):  # what is loaded once does not count
        break
    tracemalloc.start()
    try:
        count = sum(1 for _ in READERS[key].read(path))
        return tracemalloc.get_traced_memory()[1], count
    finally:
        tracemalloc.stop()


def test_path_without_a_format_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.json", b"{}"), ("b.csv", b"a,b\n1,2\n"), ("c.zip", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImportRefusedError):
            reader_of(tmp_path / name)
    with pytest.raises(ImportRefusedError, match="is a folder"):
        reader_of(tmp_path)


ODD_FILES = [
    ("a.json", gzip.compress(b'{"a": 1}', mtime=0), "is packed with gzip. Unpack it"),
    ("a.json", '{"a": 1}'.encode("utf-16"), "is JSON in UTF-16. Save it as UTF-8."),
    ("a.json", '[{"a": 1}]'.encode("utf-16-be"), "is JSON in UTF-16. Save it as UTF-8."),
    (
        "a.csv",
        "Böschung,b\n1,2\n".encode("latin-1"),
        r"is not UTF-8 text \(.*\). Save it as UTF-8. For a name list, you can also set",
    ),
    (
        "a.csv",
        b"observationID,deploymentID\n",
        "a table of a Camtrap DP package: import the folder",
    ),
    (
        "a.txt",
        b"id\toccurrenceID\n",
        "of a Darwin Core Archive, import the archive with its meta",
    ),
    (
        "a.json",
        b'[{"pipeline": "p", "source_images": [], "detections": []}]',
        "is a JSON list with",
    ),
]


@pytest.mark.parametrize(("name", "content", "told"), ODD_FILES)
def test_refusal_tells_the_remedy(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImportRefusedError, match=told):
        reader_of(tmp_path / name)


def test_archive_of_one_other_file_is_to_be_unpacked(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.json", "[]")
    with pytest.raises(ImportRefusedError, match="Unpack it, and import the file in it"):
        reader_of(tmp_path / "a.zip")


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000, "1e999", "NaN"])
def test_number_that_no_format_has_is_refused(number: str, tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_text(f'{{"a": [1, {number}], "b": 2}}')
    for read in (
        lambda: list(json_stream.json_items(path, "a.item")),
        lambda: json_stream.json_value(path, "b"),
        lambda: json_stream.json_kind(path, "b"),
    ):
        with pytest.raises(ImportRefusedError, match="is not JSON"):
            read()


@given(data=st.data())
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_file_is_read_refused_or_gives_faults(
    key: str, data: st.DataObject, tmp_path: Path
) -> None:
    damaged = _damaged_copy(sample_of(key), data, tmp_path)
    with refused_in_a_sentence():
        for item in READERS[key].read(damaged):
            assert isinstance(item, OBJECTS)
    with refused_in_a_sentence():
        reader_of(damaged)


def _damaged_copy(sample: Path, data: st.DataObject, folder: Path) -> Path:
    """A copy of a file, of a folder with a damaged file, or of a damaged zip of the folder."""
    if not sample.is_dir():
        copy = folder / sample.name
        copy.write_bytes(_damaged(sample.read_bytes(), data))
        return copy
    files = sorted(sample.iterdir())
    if data.draw(st.booleans()):
        copy = folder / f"{sample.name}.zip"
        with ZipFile(copy, "w", data.draw(st.sampled_from([ZIP_STORED, ZIP_DEFLATED]))) as archive:
            for file in files:
                archive.write(file, file.name)
        copy.write_bytes(_damaged(copy.read_bytes(), data))
        return copy
    copy = Path(shutil.copytree(sample, folder / sample.name, dirs_exist_ok=True))
    name = data.draw(st.sampled_from(files)).name
    (copy / name).write_bytes(_damaged((sample / name).read_bytes(), data))
    return copy


@contextmanager
def refused_in_a_sentence() -> Iterator[None]:
    """Allow an ImportRefusedError whose message is a sentence, and nothing else."""
    try:
        yield
    except ImportRefusedError as error:
        if not str(error).endswith("."):
            raise AssertionError(f"{error} is not a sentence") from error


def _damaged(content: bytes, data: st.DataObject) -> bytes:
    """Cut, replace, double or move a piece of the content, or give a value another one."""
    how = data.draw(st.sampled_from(["value", "value", "cut", "replace", "double", "move"]))
    if how == "value":
        found = data.draw(st.sampled_from(list(VALUE.finditer(content))))
        return content[: found.start()] + data.draw(st.sampled_from(ODD)) + content[found.end() :]
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 40, len(content))))
    if how == "cut":
        return content[:start]
    if how == "replace":
        return content[:start] + data.draw(st.sampled_from(PIECES)) + content[end:]
    if how == "double":
        return content[:end] + content[start:]
    return content[:start] + content[end:] + content[start:end]

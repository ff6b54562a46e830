"""What every registered format must do."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from zipfile import ZipFile, is_zipfile

import pytest
from django.conf import settings
from django.db import connections
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import make_detection, make_occurrence
from ami.exchange.export import source
from ami.exchange.export.registry import FORMATS
from ami.exchange.export.scope import Scope
from ami.exchange.tests.export_world import World, empty_project, exported

pytestmark = pytest.mark.django_db

DOCS = settings.ROOT / "docs" / "reference" / "formats"
NOW = re.compile(rb'"(detection_completion_time|date_created)": "[^"]*"')
ODD = (
    "=1+1",
    "semi;colon, comma | bar : colon",
    "quote \" and ' apostrophe",
    "line\nbreak\ttab\r",
    "Ünïcode 蛾 🦋 \u202e",
    "</script><x a='b'>&amp;",
    "../../etc/passwd",
    "~" + "x" * 200,
)


def test_one_module_is_one_format_with_a_page() -> None:
    formats = import_module("ami.exchange.export.formats")
    modules = [module.name for module in iter_modules(formats.__path__)]
    assert len(modules) == len(FORMATS)
    index = (DOCS / "index.md").read_text()
    for key, form in FORMATS.items():
        page = (DOCS / f"{key}.md").read_text()
        assert form.key == key
        assert "## What is lost" in page, key
        assert f"export {key} " in page, key
        assert f"\n{key}\n" in index, key


@pytest.mark.parametrize("key", FORMATS)
def test_empty_scope_gives_a_file(key: str, tmp_path: Path) -> None:
    written = exported(key, Scope(empty_project().pk), tmp_path)
    assert written.path.stat().st_size
    assert written.problems == []


def queries(key: str, scope: Scope, folder: Path) -> int:
    with CaptureQueriesContext(connections["default"]) as captured:
        exported(key, scope, folder)
    return len(captured)


@pytest.mark.parametrize("key", FORMATS)
def test_number_of_queries_grows_with_batches_only(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    few = queries(key, world.scope, tmp_path)
    for _ in range(20):
        moth = make_occurrence(deployment=world.deployment, event=world.night)
        detection = make_detection(source_image=world.captures[0], occurrence=moth)
        world._classify(detection, 0.9)
        moth.save()
    assert queries(key, world.scope, tmp_path) <= few
    monkeypatch.setattr(source, "BATCH", 1)
    assert queries(key, world.scope, tmp_path) > few


@pytest.mark.parametrize("key", FORMATS)
def test_batches_do_not_change_the_file(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    whole = exported(key, world.scope, tmp_path)
    former = contents(whole.path)
    monkeypatch.setattr(source, "BATCH", 1)
    assert contents(exported(key, world.scope, tmp_path).path) == former


@pytest.mark.parametrize("odd", ODD)
def test_long_and_odd_names_give_a_file(odd: str, tmp_path: Path) -> None:
    names = ("project", "deployment", "capture", "machine", "human", "algorithm", "list", "person")
    world = World(**{name: f"{odd} {number}" for number, name in enumerate(names)})
    for key in FORMATS:
        assert contents(exported(key, world.scope, tmp_path).path), key


def contents(path: Path) -> dict[str, bytes]:
    """The files of an export without what differs at each call."""
    if not is_zipfile(path):
        return {path.name: NOW.sub(b"", path.read_bytes())}
    with ZipFile(path) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if name not in {"datapackage.json", "eml.xml"}
        }

"""Parquet: the columns of CSV with their types."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet
import pytest

from ami.exchange.export import registry
from ami.exchange.export.columns import NAMES
from ami.exchange.export.registry import FORMATS, ExportError
from ami.exchange.tests.export_world import World, exported

pytestmark = pytest.mark.django_db


def test_columns_have_their_types(tmp_path: Path) -> None:
    world = World(project="=Vermont")
    table = pyarrow.parquet.read_table(exported("parquet", world.scope, tmp_path).path)
    assert tuple(table.column_names) == NAMES
    first, second = table.to_pylist()
    assert first["first_seen"] == datetime(2022, 6, 20, 23, tzinfo=UTC)
    assert (first["project"], first["latitude"], first["detections"]) == ("=Vermont", 44.5, 2)
    assert (first["independent"], second["independent"]) == (False, None)
    assert table.schema.metadata[b"project"] == b"=Vermont"


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match="Run `pip install ami\\[parquet\\]`"):
        exported("parquet", World().scope, tmp_path)
    FORMATS["csv"].require()

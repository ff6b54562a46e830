"""Parquet, for pandas, R and DuckDB: the columns of CSV, with their types."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib import import_module
from itertools import islice
from typing import IO, Any

from ami.exchange.export.columns import COLUMNS, cells
from ami.exchange.export.registry import Format, register
from ami.exchange.export.source import Source

ROWS_AT_ONCE = 20_000


def write(source: Source, target: IO[bytes]) -> None:
    # Imported here, because it is optional, and takes 50 MB of memory.
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    types = {
        int: arrow.int64(),
        float: arrow.float64(),
        str: arrow.string(),
        bool: arrow.bool_(),
        datetime: arrow.timestamp("us", tz="UTC"),
    }
    schema = arrow.schema(
        [arrow.field(one.name, types[one.type]) for one in COLUMNS],
        metadata={"software": source.software, "project": source.project},
    )
    of = cells(source, source.local)
    with parquet.ParquetWriter(target, schema) as writer:
        for rows in _chunks(of(one) for one in source.occurrences()):
            columns = zip(*rows, strict=True)
            arrays = [
                arrow.array(column, type=field.type)
                for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _chunks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    stream = iter(rows)
    while chunk := list(islice(stream, ROWS_AT_ONCE)):
        yield chunk


register(
    Format(
        key="parquet",
        name="Parquet",
        suffix=".parquet",
        media_type="application/vnd.apache.parquet",
        write=write,
        passes=("occurrences",),
        description="The columns of CSV with their types, for pandas, R and DuckDB.",
        needs={"pyarrow": "pip install ami[parquet]"},
    )
)

"""Transfer of vectors between PostgreSQL and NumPy with binary COPY, without Python floats.

An array is transferred as a header and, for each number, its length in bytes (8, or -1 for null)
and its bytes, big-endian. Every bit is preserved, including NaN, -0.0 and denormal numbers.
https://www.postgresql.org/docs/current/sql-copy.html describes the format.
"""

import json
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Model, QuerySet
from numpy.typing import NDArray

Vector = NDArray[np.float64]

PREFIX = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)
ROW = struct.Struct(">hiqi")  # number of fields; length and value of the id; length of the array
HEADER = struct.Struct(">iii")  # number of dimensions, whether there are nulls, type of the numbers
DIMENSION = struct.Struct(">ii")  # length, first index
NUMBER = np.dtype([("length", ">i4"), ("value", ">f8")])
FLOAT8 = 701
ARRAY = struct.Struct(">iiiiii")  # length in bytes, header, dimension
EMPTY = struct.pack(">iiii", HEADER.size, 0, 0, FLOAT8)
BIGINT = struct.Struct(">iq")
JSONB = struct.Struct(">iB")  # length in bytes, version
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

COPY = "COPY {table} ({names}) FROM STDIN (FORMAT binary)"
STAGE = """
DROP TABLE IF EXISTS pg_temp.staged;
CREATE TEMPORARY TABLE staged ON COMMIT DROP AS SELECT {names} FROM {table} WHERE false
"""
# As in the tables of the models: vectors hardly compress, and trying takes most of the time.
AS_THEY_ARE = "ALTER TABLE staged ALTER {name} SET STORAGE EXTERNAL"
# A subquery looks up each source by its id; a join could read the whole table.
UNSTAGE = "INSERT INTO {table} ({names}, {copied}) SELECT {names}, {sources} FROM staged"
SOURCE = "(SELECT s.{name} FROM {table} s WHERE s.id = staged.{pk})"


def read_vectors(rows: QuerySet[Any, Any]) -> dict[int, Vector | None]:
    """Return the vectors of `rows` by id; `rows` is a `values_list` of a bigint id and an array.

    A null array becomes None, and a null in an array NaN. Limit `rows`, because all vectors are in
    memory at once.
    """
    found: dict[int, Vector | None] = {}

    def keep(pk: int, numbers: Vector | None) -> None:
        found[pk] = None if numbers is None else numbers.astype(np.float64)

    _read(rows, keep)
    return found


def fill_matrix(
    matrix: NDArray[np.float64], rows: QuerySet[Any, Any], places: Mapping[int, int]
) -> NDArray[np.intp]:
    """Write the vectors of `rows` to the rows of `matrix`; `rows` is as for `read_vectors`.

    `places` holds the row of each id. Only vectors of the width of the matrix are written. Returns
    the length of the vector of each row, -1 if it is null or was not read.
    """
    lengths = np.full(len(matrix), -1)
    width = matrix.shape[1]

    def put(pk: int, numbers: Vector | None) -> None:
        if numbers is None:
            return
        lengths[place := places[pk]] = len(numbers)
        if len(numbers) == width:
            matrix[place] = numbers

    _read(rows, put)
    return lengths


def _read(rows: QuerySet[Any, Any], take: Callable[[int, Vector | None], None]) -> None:
    query, params = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        select = cursor.mogrify(query, params).decode()
        cursor.copy_expert(f"COPY ({select}) TO STDOUT (FORMAT binary)", _Rows(take))


class _Rows:
    """A file-like object that parses each row while PostgreSQL produces the next one.

    It calls `take` with the id and the vector, which may be big-endian, of each row.
    """

    def __init__(self, take: Callable[[int, Vector | None], None]) -> None:
        self.take = take

    def write(self, message: bytes) -> None:
        """Parse one message, which is one row.

        See https://www.postgresql.org/docs/current/protocol-flow.html.
        """
        row = message.removeprefix(PREFIX)
        if row in (b"", END):
            return
        _, _, pk, length = ROW.unpack_from(row)
        self.take(pk, None if length == -1 else _vector(memoryview(row)[ROW.size :]))


def write_rows(
    model: type[Model],
    columns: Mapping[str, Collection[Any]],
    *,
    constants: Mapping[str, Any] = MappingProxyType({}),
    copied: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Insert rows with COPY.

    `columns` maps each column to its values, one per row, with None for null. A vector is a
    one-dimensional array. `constants` maps columns to the value that all rows have. `copied` maps
    further columns to the one in `columns` with the id of the row from which PostgreSQL copies the
    value, so that a vector need not leave the server. Other columns get the database's default.
    Raises TypeError for a column of an unsupported type, and ValueError if columns differ in
    length.
    """
    if len(set(map(len, columns.values()))) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise ValueError(f"All columns must have the same number of values; got {lengths}.")
    fields = [_fields(model, column, values) for column, values in columns.items()]
    same = [field for name, value in constants.items() for field in _fields(model, name, [value])]
    head = struct.pack(">h", len(same) + len(fields)) + b"".join(same)
    # One row at a time: encoded at once, a portion would take new memory at each call.
    rows = (b"".join((head, *row)) for row in zip(*fields, strict=True))
    stream = _Stream(chain([PREFIX], rows, [END]))
    table = model._meta.db_table
    names = ", ".join(map(connection.ops.quote_name, [*constants, *columns]))
    with connection.cursor() as cursor:
        if not copied:
            cursor.copy_expert(COPY.format(table=table, names=names), stream)
            return
        vectors = [name for name in columns if _type_of(model, name).endswith("[]")]
        stage = [STAGE.format(table=table, names=names)]
        cursor.execute("; ".join(stage + [AS_THEY_ARE.format(name=name) for name in vectors]))
        cursor.copy_expert(COPY.format(table="staged", names=names), stream)
        sources = (SOURCE.format(name=name, table=table, pk=pk) for name, pk in copied.items())
        cursor.execute(
            UNSTAGE.format(
                table=table, names=names, copied=", ".join(copied), sources=", ".join(sources)
            )
        )


class _Stream:
    """A file-like object that PostgreSQL reads row by row while the next row is produced."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def read(self, size: int) -> bytes:
        return next(self.pieces, b"")


def _fields(model: type[Model], column: str, values: Collection[Any]) -> Iterator[bytes]:
    encode = _encoder(model, column)
    return (NULL if value is None else encode(value) for value in values)


def _vector(data: memoryview) -> Vector:
    dimensions, has_nulls, _ = HEADER.unpack_from(data)
    numbers = data[HEADER.size + dimensions * DIMENSION.size :]
    if has_nulls:
        return np.array(list(_numbers(numbers)), dtype=np.float64)
    return np.frombuffer(numbers, NUMBER)["value"]


def _numbers(data: memoryview) -> Iterator[float]:
    """Yield the numbers one by one, because a null takes fewer bytes than the others."""
    place = 0
    while place < len(data):
        (length,) = struct.unpack_from(">i", data, place)
        place += 4
        yield float("nan") if length == -1 else struct.unpack_from(">d", data, place)[0]
        place += max(length, 0)


class _VectorEncoder:
    """Encodes vectors in one buffer, which is filled in and copied for each of them."""

    def __init__(self) -> None:
        self.field = bytearray()
        self.numbers = np.empty(0, NUMBER)

    def __call__(self, vector: Vector) -> bytes:
        if not len(vector):
            return EMPTY
        if len(vector) != len(self.numbers):
            self._resize(len(vector))
        self.numbers["value"] = vector
        return bytes(self.field)

    def _resize(self, length: int) -> None:
        size = HEADER.size + DIMENSION.size + length * NUMBER.itemsize
        header = ARRAY.pack(size, 1, 0, FLOAT8, length, 1)
        self.field = bytearray(header + bytes(length * NUMBER.itemsize))
        self.numbers = np.frombuffer(self.field, NUMBER, offset=ARRAY.size)
        self.numbers["length"] = 8


def _encode_time(value: datetime) -> bytes:
    return _encode_int((value - EPOCH) // MICROSECOND)


def _encode_int(value: int) -> bytes:
    return BIGINT.pack(8, value)


def _encode_json(value: Any) -> bytes:
    text = json.dumps(value).encode()
    return JSONB.pack(len(text) + 1, 1) + text


# Each type has a function that returns an encoder for one column.
ENCODERS: Mapping[str, Callable[[], Callable[[Any], bytes]]] = {
    "bigint": lambda: _encode_int,
    "boolean": lambda: partial(struct.Struct(">i?").pack, 1),
    "double precision": lambda: partial(struct.Struct(">id").pack, 8),
    "double precision[]": _VectorEncoder,
    "jsonb": lambda: _encode_json,
    "timestamp with time zone": lambda: _encode_time,
}


def _encoder(model: type[Model], column: str) -> Callable[[Any], bytes]:
    kind = _type_of(model, column)
    if kind not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise TypeError(f"{column} has the type {kind}; write_rows() supports {known}.")
    return ENCODERS[kind]()


def _type_of(model: type[Model], column: str) -> str:
    fields = {field.column: field for field in model._meta.concrete_fields}
    return fields[column].db_type(connection) or ""

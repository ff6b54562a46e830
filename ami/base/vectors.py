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


def read_vectors(rows: QuerySet[Any, Any]) -> dict[int, Vector | None]:
    """Return the vectors of `rows` by id; `rows` is a `values_list` of a bigint id and an array.

    A null array becomes None, and a null in an array NaN. Limit `rows`, because all vectors are in
    memory at once.
    """
    query, params = rows.query.sql_with_params()
    found = _Vectors()
    with connection.cursor() as cursor:
        select = cursor.mogrify(query, params).decode()
        cursor.copy_expert(f"COPY ({select}) TO STDOUT (FORMAT binary)", found)
    return found


class _Vectors(dict[int, Vector | None]):
    """A file-like object that parses each row while PostgreSQL produces the next one."""

    def write(self, message: bytes) -> None:
        """Parse one message, which is one row.

        See https://www.postgresql.org/docs/current/protocol-flow.html.
        """
        row = message.removeprefix(PREFIX)
        if row in (b"", END):
            return
        _, _, pk, length = ROW.unpack_from(row)
        self[pk] = None if length == -1 else _vector(memoryview(row)[ROW.size :])


def write_rows(model: type[Model], columns: Mapping[str, Collection[Any]]) -> None:
    """Insert rows with one COPY.

    `columns` maps each column to its values, one per row, with None for null. A vector is a
    one-dimensional array. Other columns get the database's default. Raises TypeError for a column
    of an unsupported type, and ValueError if columns differ in length.
    """
    fields = [_fields(_encoder(model, column), values) for column, values in columns.items()]
    if len(set(map(len, fields))) > 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise ValueError(f"All columns must have the same number of values; got {lengths}.")
    count = struct.pack(">h", len(fields))
    rows = (b"".join((count, *row)) for row in zip(*fields, strict=True))
    names = ", ".join(map(connection.ops.quote_name, columns))
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.copy_expert(
            f"COPY {table} ({names}) FROM STDIN (FORMAT binary)",
            _Stream(chain([PREFIX], rows, [END])),
        )


class _Stream:
    """A file-like object that PostgreSQL reads row by row while the next row is produced."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def read(self, size: int) -> bytes:
        return next(self.pieces, b"")


def _fields(encode: Callable[[Any], bytes], values: Collection[Any]) -> list[bytes]:
    """Encode each value; a value that is the same object as the one before is encoded once."""
    former, field = None, NULL
    fields = []
    for value in values:
        if value is not former:
            former, field = value, NULL if value is None else encode(value)
        fields.append(field)
    return fields


def _vector(data: memoryview) -> Vector:
    dimensions, has_nulls, _ = HEADER.unpack_from(data)
    numbers = data[HEADER.size + dimensions * DIMENSION.size :]
    if has_nulls:
        return np.array(list(_numbers(numbers)), dtype=np.float64)
    return np.frombuffer(numbers, NUMBER)["value"].astype(np.float64)


def _numbers(data: memoryview) -> Iterator[float]:
    """Yield the numbers one by one, because a null takes fewer bytes than the others."""
    place = 0
    while place < len(data):
        (length,) = struct.unpack_from(">i", data, place)
        place += 4
        yield float("nan") if length == -1 else struct.unpack_from(">d", data, place)[0]
        place += max(length, 0)


def _encode_vector(vector: Vector) -> bytes:
    if not len(vector):
        return EMPTY
    numbers = np.empty(len(vector), NUMBER)
    numbers["length"] = 8
    numbers["value"] = vector
    length = HEADER.size + DIMENSION.size + numbers.nbytes
    return ARRAY.pack(length, 1, 0, FLOAT8, len(vector), 1) + numbers.tobytes()


def _encode_time(value: datetime) -> bytes:
    return _encode_int((value - EPOCH) // MICROSECOND)


def _encode_int(value: int) -> bytes:
    return BIGINT.pack(8, value)


def _encode_json(value: Any) -> bytes:
    text = json.dumps(value).encode()
    return JSONB.pack(len(text) + 1, 1) + text


ENCODERS: Mapping[str, Callable[[Any], bytes]] = {
    "bigint": _encode_int,
    "boolean": partial(struct.Struct(">i?").pack, 1),
    "double precision": partial(struct.Struct(">id").pack, 8),
    "double precision[]": _encode_vector,
    "jsonb": _encode_json,
    "timestamp with time zone": _encode_time,
}


def _encoder(model: type[Model], column: str) -> Callable[[Any], bytes]:
    fields = {field.column: field for field in model._meta.concrete_fields}
    kind = fields[column].db_type(connection) or ""
    if kind not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise TypeError(f"{column} has the type {kind}; write_rows() supports {known}.")
    return ENCODERS[kind]

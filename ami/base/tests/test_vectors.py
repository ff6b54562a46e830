"""Transfer of vectors with binary COPY, bit by bit."""

import json
import struct
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import make_classification, make_detection
from ami.base.vectors import Vector, fill_matrix, read_vectors, write_rows
from ami.main.models import Classification, Detection, Taxon

pytestmark = pytest.mark.django_db

NAN_WITH_PAYLOAD = struct.unpack(">d", bytes.fromhex("7ff8000000000abc"))[0]
ODD = [
    float("nan"),
    NAN_WITH_PAYLOAD,
    float("inf"),
    float("-inf"),
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    0.1,
]


def stored(sql: str) -> Vector | None:
    """Return what `read_vectors` reads from an array that PostgreSQL wrote."""
    detection = make_detection()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE main_detection SET similarity_vector = {sql}")
    (vector,) = read_vectors(
        Detection.objects.filter(pk=detection.pk).values_list("pk", "similarity_vector")
    ).values()
    return vector


def write(*vectors: Any) -> list[int]:
    """Create classifications with these logits and return their ids in order."""
    now = datetime.now(UTC)
    detections = [make_detection().pk for _ in vectors]
    fixed = {"created_at": now, "updated_at": now, "timestamp": now, "terminal": True}
    columns: dict[str, Any] = {name: [value] * len(vectors) for name, value in fixed.items()}
    columns |= {"metadata": [{}] * len(vectors), "detection_id": detections, "logits": vectors}
    write_rows(Classification, columns)
    rows = Classification.objects.filter(detection__in=detections)
    return list(rows.order_by("detection_id").values_list("pk", flat=True))


def bits(vector: Any) -> bytes:
    return np.asarray(vector, dtype=np.float64).tobytes()


def test_every_number_is_read_bit_by_bit() -> None:
    vector = stored("'{" + ",".join(map(repr, ODD)) + "}'")
    assert vector is not None
    assert vector.dtype == np.float64
    # PostgreSQL reads NaN as text, which does not contain its payload.
    assert bits(vector) == bits([ODD[0], ODD[0], *ODD[2:]])


def test_null_and_empty_vectors_are_told_apart() -> None:
    assert stored("NULL") is None
    empty = stored("'{}'")
    assert empty is not None
    assert empty.shape == (0,)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("'{NULL,1,NULL}'", [float("nan"), 1.0, float("nan")]),
        ("'{NULL}'", [float("nan")]),
        ("'{-0,NULL}'", [-0.0, float("nan")]),
        ("'[5:6]={1,2}'", [1.0, 2.0]),
        ("'{{1,2},{3,4}}'", [1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_odd_arrays_are_read_number_by_number(sql: str, expected: list[float]) -> None:
    assert bits(stored(sql)) == bits(expected)


def test_lengths_may_differ_and_rows_keep_their_order() -> None:
    vectors: list[Any] = [[1.0], None, [], [1.0, 2.0, 3.0], list(range(5_000))]
    made = [make_classification(scores=vector) for vector in vectors]
    read = read_vectors(Classification.objects.order_by("-pk").values_list("pk", "scores"))
    assert list(read) == [row.pk for row in reversed(made)]
    for row, vector in zip(made, vectors, strict=True):
        found = read[row.pk]
        assert (found is None) if vector is None else (bits(found) == bits(vector))


def test_no_rows_give_no_vectors() -> None:
    assert read_vectors(Classification.objects.values_list("pk", "scores")) == {}


def test_matrix_is_filled_at_the_places_of_the_rows() -> None:
    vectors: list[Any] = [[1.0, 0.1], None, [], [1.0, 2.0, 3.0], [5e-324, float("inf")]]
    made = [make_classification(scores=vector) for vector in vectors]
    places = {row.pk: place for place, row in enumerate(reversed(made))}
    matrix = np.full((6, 2), 7.0)
    rows = Classification.objects.values_list("pk", "scores")
    lengths = fill_matrix(matrix, rows, places)
    assert lengths.tolist() == [2, 3, 0, -1, 2, -1]
    assert bits(matrix[0]) == bits(vectors[4])
    assert bits(matrix[4]) == bits(vectors[0])
    assert (matrix[[1, 2, 3, 5]] == 7).all()


def test_null_in_a_vector_becomes_nan_in_the_matrix() -> None:
    row = make_classification(scores=[1.0, 2.0])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE main_classification SET scores = '{NULL,1}'")
    matrix = np.zeros((1, 2))
    fill_matrix(matrix, Classification.objects.values_list("pk", "scores"), {row.pk: 0})
    assert bits(matrix[0]) == bits([float("nan"), 1.0])


def test_constants_are_written_to_each_row() -> None:
    made = make_classification(score=0.25, metadata={"a": 1}, scores=None)
    names = ("created_at", "updated_at", "timestamp", "terminal", "algorithm_id", "metadata")
    constants = {name: getattr(made, name) for name in names} | {"taxon_id": None}
    columns: dict[str, Any] = {"detection_id": [made.detection_id] * 2, "score": [0.5, None]}
    for copied in ({}, {"scores": "applied_to_id"}):
        Classification.objects.exclude(pk=made.pk).delete()
        applied = {"applied_to_id": [made.pk] * 2} if copied else {}
        write_rows(Classification, columns | applied, constants=constants, copied=copied)
        written = list(Classification.objects.exclude(pk=made.pk).order_by("pk"))
        assert [row.score for row in written] == [0.5, None]
        made.refresh_from_db()
        for row in written:
            assert row.taxon_id is None
            assert [getattr(row, name) for name in names] == [getattr(made, name) for name in names]


def test_what_is_written_is_read_again() -> None:
    vectors = [np.array(ODD), np.array([]), None, np.arange(3.0), np.full(29_000, -0.0)]
    ids = write(*vectors)
    read = read_vectors(Classification.objects.filter(pk__in=ids).values_list("pk", "logits"))
    assert read[ids[2]] is None
    for pk, vector in zip(ids, vectors, strict=True):
        if vector is not None:
            assert bits(read[pk]) == bits(vector)


def test_empty_vector_is_written_as_postgresql_writes_it() -> None:
    write(np.array([]))
    assert Classification.objects.filter(logits=[]).exists()


@settings(
    max_examples=50,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.none() | st.lists(st.floats(), max_size=8), min_size=1, max_size=6))
def test_any_vectors_come_back(vectors: list[list[float] | None]) -> None:
    ids = write(*(None if vector is None else np.array(vector) for vector in vectors))
    read = read_vectors(Classification.objects.filter(pk__in=ids).values_list("pk", "logits"))
    for pk, vector in zip(ids, vectors, strict=True):
        found = read[pk]
        assert (found is None) if vector is None else (bits(found) == bits(vector))


def test_other_columns_are_written_as_django_reads_them() -> None:
    model = make_classification(score=0.25, metadata={"a": [1.5, "é", None, "\u2028"]})
    columns = (
        "created_at", "updated_at", "timestamp", "detection_id", "taxon_id", "score", "terminal",
        "algorithm_id", "metadata",
    )  # fmt: skip
    write_rows(Classification, {name: [getattr(model, name)] for name in columns})
    copy = Classification.objects.latest("pk")
    assert copy.pk != model.pk
    model.refresh_from_db()
    assert [getattr(copy, name) for name in columns] == [getattr(model, name) for name in columns]
    assert copy.scores is None


def test_large_json_and_times_before_2000_are_written() -> None:
    made = make_classification()
    time = datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    text = "x" * 100_000
    values = {"created_at": time, "updated_at": time, "timestamp": time, "terminal": False}
    values |= {"detection_id": made.detection_id, "metadata": {"text": text}}
    write_rows(Classification, {name: [value] for name, value in values.items()})
    copy = Classification.objects.latest("pk")
    assert (copy.timestamp, copy.terminal) == (time, False)
    assert json.dumps(copy.metadata) == json.dumps({"text": text})


def test_vectors_are_copied_from_other_rows_bit_by_bit() -> None:
    sources = write(np.array(ODD), None, np.empty(0))
    now = datetime.now(UTC)
    fixed = {"created_at": now, "updated_at": now, "timestamp": now, "terminal": True}
    columns: dict[str, Any] = {name: [value] * 4 for name, value in fixed.items()}
    applied_to = [*reversed(sources), None]
    columns |= {"metadata": [{}] * 4, "detection_id": [make_detection().pk] * 4}
    columns |= {"applied_to_id": applied_to, "scores": [np.array(ODD)] * 4}

    for _ in range(2):  # twice in one transaction
        write_rows(Classification, columns, copied={"logits": "applied_to_id"})

    written = Classification.objects.exclude(pk__in=sources).order_by("pk")
    assert list(written.values_list("applied_to", flat=True)) == applied_to * 2
    logits = list(read_vectors(written.values_list("pk", "logits")).values())
    assert [None if v is None else bits(v) for v in logits] == [b"", None, bits(ODD), None] * 2
    scores = read_vectors(written.values_list("pk", "scores")).values()
    assert {bits(vector) for vector in scores} == {bits(ODD)}


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="got score 2, taxon_id 1"):
        write_rows(Classification, {"score": [0.1, 0.2], "taxon_id": [1]})


def test_column_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="name has the type varchar"):
        write_rows(Taxon, {"name": ["Actias luna"]})


def test_constraints_hold() -> None:
    made = make_classification()
    with pytest.raises(Exception, match="classification_score_within_0_and_1"):
        write_rows(
            Classification,
            {
                name: [getattr(made, name)]
                for name in ("created_at", "updated_at", "timestamp", "detection_id", "terminal")
            }
            | {"metadata": [{}], "score": [1.5]},
        )

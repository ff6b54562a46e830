"""Which errors are retried; PostgreSQL itself raises them."""

import pytest
from django.db import DatabaseError, Error, connection, transaction

from ami.jobs.engine.faults import drop_dead_connection, is_transient

STATEMENTS = [
    ("SELECT pg_terminate_backend(pg_backend_pid())", True),
    ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", True),
    ("DO $$ BEGIN RAISE SQLSTATE '25006'; END $$", True),
    ("SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(9)", True),
    ("SELECT 1 / 0", False),
    ("SELECT '\"'::jsonb", False),
    ("SELECT * FROM no_such_table", False),
    ("DO $$ BEGIN RAISE unique_violation; END $$", False),
    ("DO $$ BEGIN RAISE 'a message'; END $$", False),
]


@pytest.fixture(autouse=True)
def _alive(transactional_db: None) -> None:
    """Each test may lose its connection."""


@pytest.mark.parametrize(("statement", "transient"), STATEMENTS)
def test_errors_of_the_moment_are_told_from_those_of_rows(statement: str, transient: bool) -> None:
    with pytest.raises(Error) as caught, connection.cursor() as cursor:
        cursor.execute(statement)
    assert is_transient(caught.value) is transient
    drop_dead_connection()


def wait_too_long() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '1ms'")
        while True:
            cursor.execute("SELECT 1")


def test_session_that_waited_too_long_is_of_the_moment() -> None:
    with pytest.raises(Error) as caught:
        wait_too_long()
    assert is_transient(caught.value)
    drop_dead_connection()


def test_connection_that_breaks_within_an_answer_is_of_the_moment() -> None:
    assert is_transient(DatabaseError("server closed the connection unexpectedly"))


def test_errors_of_python_are_not() -> None:
    assert not is_transient(ConnectionError("refused"))

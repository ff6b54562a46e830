import os
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, process_time_ns
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper


def timed(work: Callable[[], object]) -> float:
    """The time that `work` takes, in seconds."""
    start = perf_counter()
    work()
    return perf_counter() - start


def cpu_timed(work: Callable[[], object], database: BaseDatabaseWrapper) -> float:
    """The CPU time that `work` takes, in seconds, of this process and of its PostgreSQL process.

    Other programs do not affect it, unlike the time that passes. The server must run on this
    machine, and must not use parallel workers.
    """
    start = _cpu_seconds(database)
    work()
    return _cpu_seconds(database) - start


def _cpu_seconds(database: BaseDatabaseWrapper) -> float:
    database.ensure_connection()
    pid = database.connection.info.backend_pid
    server = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return (process_time_ns() + server) / 1e9


def interleaved(candidates: Mapping[str, Callable[[], float]], *, rounds: int) -> dict[str, float]:
    """The median of the values of each candidate.

    The candidates alternate, so that a slow period of the machine affects all of them.
    """
    values: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, measure in candidates.items():
            values[name].append(measure())
    return {name: median(measured) for name, measured in values.items()}


class QueryCounter:
    """Counts the statements that are executed in the block."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "QueryCounter":
        self._wrapper = connection.execute_wrapper(self._execute)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._wrapper.__exit__(*exception)

    def _execute(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        return execute(sql, params, many, context)


def timed_with_cpu(work: Callable[[], object]) -> tuple[float, float]:
    """The time that `work` takes, and the CPU time of this process and of PostgreSQL, in seconds.

    The server must run on this machine. Its parallel workers are included, if no other session of
    it ends meanwhile.
    """
    before = _cpu()
    seconds = timed(work)
    return seconds, _cpu() - before


def _cpu() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = _stat(cursor.fetchone()[0])
    # In ticks: user and system time of the session, and those of the ended children of its parent.
    server = sum(map(int, session[11:13])) + sum(map(int, _stat(session[1])[13:15]))
    return process_time() + server / os.sysconf("SC_CLK_TCK")


def _stat(pid: str | int) -> list[str]:
    """The fields of a process after its name, which may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

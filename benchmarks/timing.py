import os
from collections.abc import Callable, Mapping
from math import nan
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from django.db import connection


class Seconds(float):
    """A time in seconds; `cpu` is the CPU time that Python and PostgreSQL took together."""

    def __new__(cls, wall: float, *, cpu: float) -> "Seconds":
        seconds = super().__new__(cls, wall)
        seconds.cpu = cpu
        return seconds

    def __getnewargs_ex__(self) -> tuple[tuple[float], dict[str, float]]:
        return (float(self),), {"cpu": self.cpu}  # for copies

    cpu: float


def timed(work: Callable[[], object]) -> Seconds:
    """The time that `work` takes, in this process and in its session of PostgreSQL."""
    start, cpu = perf_counter(), _cpu()
    work()
    return Seconds(perf_counter() - start, cpu=_cpu() - cpu)


def _cpu() -> float:
    """CPU seconds so far; NaN if the server runs on another machine.

    They include the ended children of the server: parallel workers, but also other sessions.
    """
    connection.ensure_connection()
    session = Path(f"/proc/{connection.connection.info.backend_pid}")
    if not session.exists():
        return nan
    own = int((session / "schedstat").read_text().split()[0]) / 1e9
    server = Path(f"/proc/{_stat(session)[1]}")
    ended = sum(map(int, _stat(server)[13:15])) / os.sysconf("SC_CLK_TCK")
    return process_time() + own + ended


def _stat(process: Path) -> list[str]:
    """The fields of a process after its name, which may contain spaces."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def interleaved(
    candidates: Mapping[str, Callable[[], float]], *, rounds: int
) -> dict[str, Seconds]:
    """The median times of each candidate; CPU times only of those that return Seconds.

    The candidates alternate, so that a slow period of the machine affects all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, measure in candidates.items():
            times[name].append(measure())
    return {
        name: Seconds(median(measured), cpu=median(getattr(one, "cpu", nan) for one in measured))
        for name, measured in times.items()
    }


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

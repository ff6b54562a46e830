"""Write a file: one format, one scope, one consistent view of the database."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, NamedTuple

from ami.exchange.export.problems import Problems
from ami.exchange.export.registry import ExportError, ExportOptions, Format
from ami.exchange.export.scope import Scope
from ami.exchange.export.source import Snapshot, Source

PROBLEMS = ".problems.csv"


class Written(NamedTuple):
    """The file, the file that lists its problems if it has any, and the problems in sentences."""

    path: Path
    problems_path: Path | None
    problems: list[str]


def write_file(
    form: Format,
    scope: Scope,
    options: ExportOptions,
    path: Path,
    *,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> Written:
    """Write a file, and beside it the list of its problems.

    `on_progress` is called with the rows that were read, and with how many there are in all passes.
    An error leaves no half of a file, and keeps a former file as it was. Raises ExportError.
    """
    form.require()
    problems = Problems(path.with_name(f"{path.name}{PROBLEMS}"))
    try:
        with _replacing(path) as file, Snapshot.opened() as snapshot:
            totals = {name: snapshot.count(getattr(scope, name)) for name in set(form.passes)}
            counter = _Counter(sum(totals[name] for name in form.passes), on_progress)
            source = Source(
                snapshot,
                scope,
                problems=problems,
                media_url=options.media_url,
                on_batch=counter.advance,
            )
            form.write(source, file)
    except BaseException as fault:
        problems.discard()
        if isinstance(fault, OSError):
            raise ExportError(f"{path} cannot be written: {fault.strerror or fault}.") from fault
        raise
    problems.close()
    return Written(path, problems.path if problems else None, problems.sentences)


class _Counter:
    """Adds up the rows that were read."""

    def __init__(self, total: int, on_progress: Callable[[int, int], object]) -> None:
        self.total, self.done, self._tell = total, 0, on_progress
        self.advance(0)

    def advance(self, rows: int) -> None:
        self.done += rows
        self._tell(self.done, self.total)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside `path`, and put it in its place once it is complete.

    Raises ExportError if something else is in its place, such as a device or a pipe.
    """
    path = path.resolve()  # a link stays, and the file to which it leads is replaced
    if path.exists() and not path.is_file():
        raise ExportError(f"{path} is not a file; give the name of a file to write or replace.")
    with NamedTemporaryFile("wb", dir=path.parent, prefix=".export-", delete=False) as file:
        try:
            yield file.file  # without the wrapper, which would look up each of its methods
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise

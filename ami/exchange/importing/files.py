"""The files of imports, wherever they lie."""

import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from weakref import finalize

from django.core.files.storage import FileSystemStorage, default_storage

from ami.exchange.models import Import
from ami.exchange.uploads import suffix_of, temporary_file
from ami.jobs.states import JobFailedError

CHUNK = 2**20  # bytes


class LocalFile:
    """The file of an import on this machine: `path` is valid as long as this object lives.

    Raises JobFailedError if it is gone.
    """

    def __init__(self, row: Import) -> None:
        self._copy = None
        self._name = row.name if row.uploaded else ""
        if not row.path:
            raise _gone(row)
        if not row.uploaded:
            self.path = Path(row.path)
        elif isinstance(default_storage, FileSystemStorage):
            self.path = Path(default_storage.path(row.path))
        else:
            if not default_storage.exists(row.path):
                raise _gone(row)
            self._copy = temporary_file(suffix_of(row.name))
            # Within a cycle of objects, its inner file would be finalized before it is closed.
            finalize(self, self._copy.close)
            with default_storage.open(row.path, "rb") as stored:
                shutil.copyfileobj(stored, self._copy, CHUNK)
            self._copy.flush()
            self.path = Path(self._copy.name)
        if not self.path.exists():
            raise _gone(row)

    def told(self, sentence: object) -> str:
        """Return a sentence about the file; that of an upload is called as the person named it."""
        return str(sentence).replace(str(self.path), self._name or str(self.path))


def _gone(row: Import) -> JobFailedError:
    remedy = "Upload it again." if row.uploaded else "Run the command again with its new path."
    return JobFailedError(f"The file {row.name} no longer exists. {remedy}")


def digest(path: Path) -> str:
    """Return the digest of the contents of a file, or of all files of a folder.

    Raises JobFailedError if it cannot be read.
    """
    found = sha256()
    try:
        for file in _files(path):
            found.update(f"{file.relative_to(path)}\0".encode())
            with file.open("rb") as opened:
                while chunk := opened.read(CHUNK):
                    found.update(chunk)
    except OSError as error:
        raise JobFailedError(f"Cannot read {path}: {error.strerror or error}.") from None
    return found.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(one for one in path.rglob("*") if one.is_file())
    else:
        yield path

"""The files of a folder or of a zip archive, which readers open alike."""

import gzip
import io
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from django.conf import settings

from ami.exchange.base import ImportRefusedError, cannot_read
from ami.exchange.tables import WORKBOOK
from ami.exchange.uploads import temporary_file

LIMIT = 2**25  # bytes of a description
MARKS = (WORKBOOK, b"PK\x05\x06")  # of an archive with files, as a workbook is, and of one without
# What an archive may grow to: so many times its size, and always this number of bytes.
GROWTH, SMALL = 200, 2**30
HAS_PASSWORD = 1  # a bit of the flags
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # an archive with a password
    NotImplementedError,  # a compression that Python does not know
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive. Raises ImportRefusedError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(WORKBOOK)) in MARKS
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from None


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive. Raises ImportRefusedError, also if it has a password, or is a bomb.

    A file in it is never unpacked under its name, so names that lead out of a folder do no harm.
    """
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise cannot_read(path, error) from None
    with archive:
        members = archive.infolist()
        if not members:
            raise ImportRefusedError(f"{path} is a zip archive without files.")
        if any(one.flag_bits & HAS_PASSWORD for one in members):
            raise ImportRefusedError(f"{path} has a password; pack the files again without one.")
        whole = sum(one.file_size for one in members)
        if whole > max(SMALL, GROWTH * path.stat().st_size):
            raise ImportRefusedError(
                f"{path} would unpack to {whole:,} bytes, more than {GROWTH} times its size, which "
                "no file of data does. Import the files without packing them."
            )
        yield archive


@contextmanager
def unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[Path]:
    """Unpack a file to a temporary one. Raises ImportRefusedError if it is broken or too large."""
    limit: int = settings.IMPORT_MAX_BYTES
    if member.file_size > limit:
        raise ImportRefusedError(
            f"{member.filename} has {member.file_size:,} bytes, and a file of an archive may have "
            f"{limit:,} (IMPORT_MAX_BYTES). Divide it, or import the folder with the command."
        )
    with temporary_file(".json") as copy:
        try:
            with archive.open(member) as file:
                shutil.copyfileobj(file, copy, 2**20)
            copy.flush()
        except BROKEN as error:
            raise cannot_read(Path(member.filename), error) from None
        yield Path(copy.name)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def seek(self, position: int, whence: int = ..., /) -> int: ...


class Files:
    """The files below `base` of a folder or archive."""

    def __init__(self, path: Path, base: PurePosixPath, archive: zipfile.ZipFile | None) -> None:
        self._path, self._base, self._archive = path, base, archive
        self._members = names_of(archive) if archive else {}

    @classmethod
    @contextmanager
    def opened(cls, path: Path, marker: str) -> Iterator["Files"]:
        """Open a folder or an archive with the file `marker`, or the folder of that file itself.

        In an archive, the files may lie in a folder. Raises ImportRefusedError.
        """
        if path.is_dir():
            yield cls(path, PurePosixPath(), None)
        elif path.name == marker:
            yield cls(path.parent, PurePosixPath(), None)
        else:
            with open_archive(path) as archive:
                yield cls(path, folder_of(marker, names_of(archive)), archive)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file, and unpack it if its name ends with .gz. Raises ImportRefusedError."""
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "://" in name:
            raise ImportRefusedError(
                f"{self._path} names the file {name!r}, which must lie in the same folder."
            )
        try:
            file = self._opened(self._base / name)
        except (*BROKEN, KeyError):
            raise ImportRefusedError(f"{self._path} has no file {name} that can be read.") from None
        with file:
            whole = gzip.GzipFile(fileobj=file) if name.endswith(".gz") else file
            with io.BufferedReader(_Guarded(whole, name), 2**16) as guarded:
                yield guarded

    def text(self, name: str) -> bytes:
        """Return the bytes of a description. Raises ImportRefusedError."""
        content = bytearray()
        with self.open(name) as file:
            while piece := file.read(2**16):
                content += piece
                if len(content) > LIMIT:
                    raise ImportRefusedError(f"{name} has more than {LIMIT // 2**20} MB.")
        return bytes(content)

    def _opened(self, name: PurePosixPath) -> Any:
        if self._archive:
            return self._archive.open(self._members[str(name)])
        return (self._path / name).open("rb")


class _Guarded(io.RawIOBase):
    """A file whose faults are ImportRefusedErrors."""

    def __init__(self, file: _Readable, name: str) -> None:
        self._file, self._name = file, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._told():
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        with self._told():
            return self._file.seek(position, whence)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise cannot_read(Path(self._name), error) from None


def names_of(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the files by their names, in which some programs of Windows write backslashes."""
    return {one.filename.replace("\\", "/"): one for one in archive.infolist()}


def folder_of(marker: str, names: Iterable[str]) -> PurePosixPath:
    """Return the folder of the marker in an archive, the outermost if there are several."""
    found = [PurePosixPath(name).parent for name in names if PurePosixPath(name).name == marker]
    return min(found, key=lambda one: (len(one.parts), str(one)), default=PurePosixPath())

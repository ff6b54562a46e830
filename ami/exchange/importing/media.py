"""The pictures of captures, wherever they lie: in a folder, at an address, or in a bucket."""

import io
from collections.abc import Iterator
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from django.core.files.storage import InvalidStorageError, storages
from PIL import Image

from ami.exchange.base import ImportRefusedError
from ami.main.pictures import FAILURES, ORIENTATION, TURNS, is_elsewhere

S3 = "s3://"
# The beginning of a remote picture tells its size. Few pictures have so much Exif data before it
# that more is needed.
HEADS = (2**18, 2**22)  # bytes
SECONDS = 30
URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
REMEDY = "Name the folder, the address or the bucket of the captures with --media."


class NoPictureError(Exception):
    """The picture cannot be read; the text is a predicate of it."""


class Looked(NamedTuple):
    """Width and height in pixels of an upright picture, or a predicate that tells why not."""

    size: tuple[int, int] | None
    fault: str = ""


class _Place(Protocol):
    """Where pictures lie."""

    def check(self) -> None:
        """Raise ImportRefusedError if there is no such place, or it cannot be read."""

    def heads(self, path: str) -> Iterator[Path | io.BytesIO]:
        """Yield the picture, or ever more of its beginning. Raises NoPictureError."""


class _Folder(NamedTuple):
    root: Path

    def check(self) -> None:
        try:
            next(self.root.iterdir(), None)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ImportRefusedError(
                f"--media: cannot read the folder {self.root}: {reason}. {REMEDY}"
            ) from None

    def heads(self, path: str) -> Iterator[Path | io.BytesIO]:
        try:
            found = (self.root / path.lstrip("/")).resolve()
            if not found.is_relative_to(self.root.resolve()):
                raise NoPictureError("lies outside the folder")
            is_file = found.is_file()
        except (OSError, ValueError, RuntimeError):  # too long, or a loop of links
            is_file = False
        if not is_file:
            raise NoPictureError(f"was not found in {self.root}")
        yield found


class _Web(NamedTuple):
    address: str

    def check(self) -> None:
        try:
            self._read(self.address, 1)
        except HTTPError:
            pass  # the server answers, though it shows no list of its files
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ImportRefusedError(
                f"--media: {self.address} does not answer: {reason}. {REMEDY}"
            ) from None

    def heads(self, path: str) -> Iterator[Path | io.BytesIO]:
        address = path
        if not is_elsewhere(path):
            address = f"{self.address.rstrip('/')}/{quote(_inside(path))}"
        for length in HEADS:
            try:
                yield self._read(quote(address, safe=URL_CHARACTERS), length)
            except HTTPError as error:
                raise NoPictureError(f"was not found: the server answers {error.code}") from None
            except (OSError, ValueError, HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                raise NoPictureError(f"cannot be fetched: {reason}") from None

    def _read(self, address: str, length: int) -> io.BytesIO:
        request = Request(address, headers={"Range": f"bytes=0-{length - 1}"})  # noqa: S310
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 -- http or https
            return io.BytesIO(answer.read(length))


class _Bucket(NamedTuple):
    name: str
    prefix: str

    def check(self) -> None:
        try:
            found = self._client().list_objects_v2(Bucket=self.name, Prefix=self.prefix, MaxKeys=1)
        except FAILURES as error:
            raise ImportRefusedError(
                f"--media: cannot read the bucket {self.name}: {error}. {REMEDY}"
            ) from None
        if not found.get("KeyCount"):
            raise ImportRefusedError(
                f"--media: the bucket {self.name} has no files below {self.prefix!r}. {REMEDY}"
            )

    def heads(self, path: str) -> Iterator[Path | io.BytesIO]:
        for length in HEADS:
            try:
                stored = self._client().get_object(
                    Bucket=self.name,
                    Key=self.prefix + _inside(path),
                    Range=f"bytes=0-{length - 1}",
                )
                with stored["Body"] as body:
                    yield io.BytesIO(body.read())
            except FAILURES as error:
                raise NoPictureError(f"cannot be read from the bucket: {error}") from None

    def _client(self) -> Any:
        """Return the client of the storage "s3". Raises ImportRefusedError without one."""
        try:
            storage: Any = storages["s3"]
        except InvalidStorageError:
            raise ImportRefusedError(
                f"--media: {S3} needs the object storage of the settings: install ami[s3], and set "
                "S3_BUCKET and its key."
            ) from None
        return storage.connection.meta.client


def check_media(media: str | None) -> None:
    """Raise ImportRefusedError if the place of the pictures cannot be read."""
    if media:
        _place(media).check()


@lru_cache(maxsize=4096)
def look(media: str | None, path: str) -> Looked:
    """Return the size of a picture, turned upright as its Exif orientation says, or why not.

    `media` is a folder, an address, or s3://bucket/prefix; a `path` that is an address itself does
    not need it. If it is None, nothing is read. Raises ImportRefusedError without a storage.
    """
    if media is None or not (media or is_elsewhere(path)):
        return Looked(None, "is not known")
    fault = "cannot be read"
    try:
        for head in _place("http://" if is_elsewhere(path) else media).heads(path):
            try:
                return Looked(_size(head))
            except UNREADABLE:
                continue
    except NoPictureError as error:
        fault = str(error)
    return Looked(None, fault)


def _size(head: Path | io.BytesIO) -> tuple[int, int]:
    with Image.open(head) as picture:
        width, height = picture.size
        is_turned = picture.getexif().get(ORIENTATION) in TURNS
    return (height, width) if is_turned else (width, height)


def _place(media: str) -> _Place:
    if is_elsewhere(media):
        return _Web(media)
    if media.startswith(S3):
        name, _, prefix = media.removeprefix(S3).partition("/")
        prefix = prefix.strip("/")
        return _Bucket(name, f"{prefix}/" if prefix else "")
    return _Folder(Path(media))


def _inside(path: str) -> str:
    """Return a path below a remote place. Raises NoPictureError if it leaves that."""
    if ".." in path.split("/"):
        raise NoPictureError("lies outside the folder")
    return path.lstrip("/")

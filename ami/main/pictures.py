"""Pictures of detections and captures: their addresses, and the files behind them.

Crops that have no file are cut out of their capture. Smaller versions are kept below `thumbnails/`
in MEDIA_ROOT, which may be emptied at any time.
"""

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from math import ceil, floor, isfinite
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

from django.core.exceptions import SuspiciousOperation
from django.core.files.storage import (
    FileSystemStorage,
    InvalidStorageError,
    Storage,
    default_storage,
    storages,
)
from PIL import Image, ImageOps

from ami.base.links import list_url
from ami.main.models import Detection, SourceImage

try:
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:  # object storage is optional
    FAILURES: tuple[type[Exception], ...] = ()
else:
    FAILURES = (BotoCoreError, ClientError)

SMALL, MEDIUM, LARGE = SIZES = (96, 320, 1280)  # the longer side in pixels
KINDS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff"}
# How to turn a picture by its Exif orientation, as the matrix of an SVG and for Pillow. Only those
# that exchange width and height: for the others, sizes do not tell whether boxes are turned.
TURNS = {
    5: ("0 1 1 0 0 0", Image.Transpose.TRANSPOSE),
    6: ("0 1 -1 0 {height} 0", Image.Transpose.ROTATE_270),
    7: ("0 -1 -1 0 {height} {width}", Image.Transpose.TRANSVERSE),
    8: ("0 -1 1 0 0 {width}", Image.Transpose.ROTATE_90),
}
ORIENTATION = 0x0112
MADE = "thumbnails/"  # the folder of smaller pictures and cut crops

local = FileSystemStorage()


class PictureError(Exception):
    """The picture cannot be shown; the text is the reason."""


class StoredPicture(NamedTuple):
    """A file in a storage, its media type, and what tells it from others of this name."""

    storage: Storage
    name: str
    kind: str
    version: str = ""


@contextmanager
def answering() -> Iterator[None]:
    """Raise PictureError if an object storage cannot be reached, or refuses an answer."""
    try:
        yield
    except FAILURES as odd:
        raise PictureError("Storage does not answer") from odd


def is_remote(storage: Storage) -> bool:
    """Whether to read a file of this storage takes the network."""
    return not isinstance(storage, FileSystemStorage)


class View(NamedTuple):
    """What draws boxes on a capture that is shown upright: an SVG's size, and a transform."""

    width: int
    height: int
    transform: str


def crop_url(detection_id: int, size: int | None = None) -> str:
    """Return the URL of the detection's crop, as it is or with this longer side; no query."""
    return _url(Detection, detection_id, size)


def frame_url(capture_id: int, size: int | None = None) -> str:
    """Return the URL of the capture's picture, as it is or with this longer side; no query."""
    return _url(SourceImage, capture_id, size)


def _url(model: Any, pk: int, size: int | None) -> str:
    return f"{list_url(model)}{pk}/picture/" + (f"?size={size}" if size else "")


def is_elsewhere(path: str) -> bool:
    """Whether the path is an address of another server."""
    return path.startswith(("http://", "https://"))


def frame(capture: SourceImage, size: int | None = None) -> StoredPicture:
    """Return the capture's picture. Raises PictureError."""
    original = _stored(capture, capture.path, "capture")
    if size is None:
        return original
    return _made(partial(_upright, original), size, original)


def crop(detection: Detection, size: int | None = None) -> StoredPicture:
    """Return the detection's crop, from its file or out of its capture. Raises PictureError."""
    try:
        original = _stored(detection.source_image, detection.path, "crop")
    except PictureError:
        capture, box = detection.source_image, _pixels(detection.bbox)
        if box is None:
            raise
        source = _stored(capture, capture.path, "capture")
        known = (capture.width, capture.height)
        return _made(partial(_cut, source, box, known), size, source, *box, *known)
    return _made(partial(_upright, original), size, original) if size else original


def view_of(capture: SourceImage) -> View | None:
    """Return how boxes are drawn on the capture; None if its size is not known.

    The boxes of a portrait capture may be those of the picture before it is turned upright. A file
    is not fetched from an object storage for this: its boxes are drawn as they are.
    """
    if not (capture.width and capture.height):
        return None
    width, height = capture.width, capture.height
    turn = None
    with suppress(PictureError):
        if not is_remote(_storage(capture)[1]):
            with _opened(_stored(capture, capture.path, "capture")) as picture:
                turn = _turn(picture, (width, height))
    if turn is None:
        return View(width, height, "")
    matrix = TURNS[turn][0].format(width=width, height=height)
    return View(height, width, f"matrix({matrix})")


def _storage(capture: SourceImage) -> tuple[str, Storage]:
    """Return the storage of the capture's deployment, and its name. Raises PictureError."""
    name = capture.deployment.storage if capture.deployment else ""
    try:
        return name, storages[name] if name else default_storage
    except InvalidStorageError as unknown:
        raise PictureError(f"Storage {name} is not in the settings") from unknown


def _stored(capture: SourceImage, path: str, noun: str) -> StoredPicture:
    if not path:
        raise PictureError(f"No {noun} file")
    if is_elsewhere(path):
        raise PictureError(f"{noun.capitalize()} on another server")
    kind = KINDS.get(Image.registered_extensions().get(Path(path).suffix.lower(), ""))
    if kind is None:
        raise PictureError("Not a picture")
    if path.startswith(("/", "../", MADE)) or posixpath.normpath(path) != path:
        raise PictureError(f"Invalid {noun} path")
    name, storage = _storage(capture)
    try:
        with answering():
            if not storage.exists(path):
                raise PictureError(f"{noun.capitalize()} file not found")
        version = name if is_remote(storage) else f"{name} {version_of(storage, path)}"
    except FileNotFoundError as gone:
        raise PictureError(f"{noun.capitalize()} file not found") from gone
    except (SuspiciousOperation, ValueError, OSError) as odd:  # outside the root, NUL, too long
        raise PictureError(f"Invalid {noun} path") from odd
    return StoredPicture(storage, path, kind, version)


def version_of(storage: Storage, name: str) -> str:
    """Return what changes when the file is replaced."""
    changed = storage.get_modified_time(name).timestamp()
    return f"{storage.size(name):x}-{changed:.6f}"


@contextmanager
def _opened(stored: StoredPicture) -> Iterator[Image.Image]:
    try:
        with (
            answering(),
            stored.storage.open(stored.name) as file,
            Image.open(file) as picture,
        ):
            yield picture
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as odd:
        raise PictureError("Unreadable file") from odd


def _upright(stored: StoredPicture, size: int | None) -> Image.Image:
    with _opened(stored) as picture:
        if size:
            picture.draft("RGB", (size, size))  # JPEG decodes a reduced picture much faster
        return ImageOps.exif_transpose(picture)


def _cut(
    stored: StoredPicture, box: list[int], known: tuple[int | None, int | None], size: int | None
) -> Image.Image:
    with _opened(stored) as picture:
        turn = _turn(picture, known)
        whole = picture if turn else ImageOps.exif_transpose(picture)
        x1, y1, x2, y2 = box
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, whole.width), min(y2, whole.height)
        if x1 >= x2 or y1 >= y2:
            raise PictureError("Box outside the capture")
        piece = whole.crop((x1, y1, x2, y2))
    return piece.transpose(TURNS[turn][1]) if turn else piece


def _turn(picture: Image.Image, known: tuple[int | None, int | None]) -> int | None:
    """Return the Exif orientation if boxes refer to the picture before it is turned by it."""
    orientation = int(picture.getexif().get(ORIENTATION, 1))
    is_before = picture.size == known and picture.width != picture.height
    return orientation if orientation in TURNS and is_before else None


def _pixels(box: list[float] | None) -> list[int] | None:
    """Return the smallest box of whole pixels, or None if this is not a box."""
    if not box or len(box) != 4 or not all(n is not None and isfinite(n) for n in box):
        return None
    x1, y1, x2, y2 = box
    return [floor(x1), floor(y1), ceil(x2), ceil(y2)] if x1 < x2 and y1 < y2 else None


def _made(
    make: Callable[[int | None], Image.Image],
    size: int | None,
    source: StoredPicture,
    *part: object,
) -> StoredPicture:
    """Return the smaller version of this part of the source, which is made once."""
    key = hashlib.sha256(repr((source.name, source.version, *part)).encode()).hexdigest()
    made = StoredPicture(local, f"{MADE}{size or 'full'}/{key[:2]}/{key}.jpg", "image/jpeg")
    path = Path(local.path(made.name))
    if not path.exists():
        picture = make(size).convert("RGB")
        if size:
            picture.thumbnail((size, size))
        try:
            _save(picture, path)
        except OSError as odd:
            raise PictureError("Smaller picture cannot be saved") from odd
    return made


def _save(picture: Image.Image, path: Path) -> None:
    """Save the picture in one step: another request may make or read the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            picture.save(file, "JPEG", quality=85)
            os.chmod(file.name, 0o644)  # the proxy that sends it is another user
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise

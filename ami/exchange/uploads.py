"""Uploaded files: streamed to disk up to a limit, and kept below a path that cannot be guessed."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import time
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import SkipFile, TemporaryFileUploadHandler
from django.http import HttpRequest
from django.utils.text import slugify

FOLDER = "imports"
TEMPORARY = "uploads"  # below MEDIA_ROOT: /tmp may be a part of the memory
TOO_LARGE = "ami.upload_too_large"  # in the META of the request
LONGEST_NAME = 50


def temporary_file(suffix: str) -> Any:
    """Return a file that is deleted when it is closed, in a folder that is large enough."""
    return NamedTemporaryFile(suffix=suffix, dir=_folder())


def delete_forgotten() -> None:
    """Delete the temporary files of processes that were killed."""
    day_ago = time() - 24 * 60 * 60
    for path in _folder().iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < day_ago:
                path.unlink()


def _folder() -> Path:
    folder = Path(settings.MEDIA_ROOT) / TEMPORARY
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class DiskFile(TemporaryUploadedFile):
    """A file that is deleted at the end of the request, unless it is stored."""

    def __init__(
        self,
        name: str | None,
        content_type: str | None,
        size: int,
        charset: str | None,
        content_type_extra: Any = None,
    ) -> None:
        file = temporary_file(suffix_of(name or ""))
        UploadedFile.__init__(self, file, name, content_type, size, charset, content_type_extra)


class LimitedUploadHandler(TemporaryFileUploadHandler):
    """Writes each file to disk as it arrives; a file of more than IMPORT_MAX_BYTES is dropped."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super(TemporaryFileUploadHandler, self).new_file(*args, **kwargs)
        self.file = DiskFile(
            self.file_name, self.content_type, 0, self.charset, self.content_type_extra
        )

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > settings.IMPORT_MAX_BYTES:
            if self.request is not None:
                self.request.META[TOO_LARGE] = True
            raise SkipFile
        super().receive_data_chunk(raw_data, start)


def is_too_large(request: HttpRequest) -> bool:
    """Whether a file of a request that was read was dropped, because it is too large."""
    return bool(request.META.get(TOO_LARGE))


def store(file: UploadedFile) -> str:
    """Store an upload, and return its path in the default storage."""
    name = slugify(Path(file.name or "").stem)[:LONGEST_NAME].strip("-") or "file"
    path = f"{FOLDER}/{secrets.token_urlsafe(24)}/{name}{suffix_of(file.name or '')}"
    return default_storage.save(path, file)


def suffix_of(name: str) -> str:
    """Return the end of a file's name, such as ".csv"; empty if it is not a usual one."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,10}", suffix) else ""

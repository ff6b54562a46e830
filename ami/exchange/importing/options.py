"""What a person decides about an import besides the file."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Extra, Field

ATOMIC_BELOW = 50_000  # detections


class Boxes(StrEnum):
    """What the four numbers of a box are."""

    AS_WRITTEN = ""  # what the format says
    CORNERS = "corners"  # x1, y1, x2, y2 in pixels
    FRACTIONS = "fractions"  # the same as shares of the width and height of the capture
    XYWH = "xywh"  # x, y, width, height in pixels
    WHOLE = "whole"  # as the format says; what has none gets one of the whole capture


class ImportOptions(BaseModel, extra=Extra.forbid):
    """The options of an import. `atomic` is None if the size of the file decides.

    `media` is None for uploads: a file must not make the server ask for addresses that it names.
    """

    deployment: str = Field(
        "",
        max_length=255,
        title="Deployment",
        description="Put all captures into the deployment of this name, instead of those that the "
        "file names.",
    )
    boxes: Boxes = Field(
        Boxes.AS_WRITTEN,
        title="Boxes",
        description="What the four numbers of a box are, if they are not what the format says. "
        "With the last choice, an observation without a box that is alone on its picture gets one "
        "of the whole picture.",
    )
    update: bool = Field(
        False,
        title="Update",
        description="Also change the values that differ in the file. Without this, they are only "
        "listed. What a person has said is never changed.",
    )
    atomic: bool | None = Field(
        None,
        title="All or nothing",
        description="Write everything in one transaction. By default, files with fewer than "
        f"{ATOMIC_BELOW:,} detections are written so.",
    )
    media: str | None = Field(
        "",
        max_length=1000,
        title="Media",
        description="A folder, an address, or s3://bucket/prefix, below which the captures lie. "
        "Sizes that are not in the file are read from them.",
    )


class NameListOptions(BaseModel, extra=Extra.forbid):
    """The options of the import of a name list."""

    list_name: str = Field(
        min_length=1,
        max_length=255,
        title="Taxa list",
        description="The taxa list that gets the names. It is created if there is none.",
    )
    encoding: Literal["utf-8", "latin-1", "utf-16"] | None = Field(
        None,
        title="Encoding",
        description="The encoding of a text file, unless it is UTF-8 or UTF-16.",
    )
    update: bool = Field(
        False,
        title="Update",
        description="Also change the values that differ in the file. Without this, they are only "
        "listed.",
    )

"""Rows for each method, for the tests that every method has to pass.

A module named by the method's key has `make_rows(nights)`: rows that the method works on, and some
with each of the faults that it skips, `nights` times over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ami.base.tests.factories import make_capture_set
from ami.main.models import Occurrence, SourceImage, SourceImageCollection


@dataclass(frozen=True)
class Rows:
    """What a method runs on, the options that it needs, and how many rows it skips by reason."""

    faults: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        return {
            "source_image_collection_id": SourceImageCollection.objects.get().pk,
            **self.options,
        }


def make_rows_for(key: str, *, nights: int = 3) -> Rows:
    """Make the rows of that method, and a capture set of every capture."""
    make_rows: Callable[[int], Rows] = import_module(f"{__name__}.{key}").make_rows
    rows = make_rows(nights)
    for occurrence in Occurrence.objects.order_by("pk"):
        occurrence.save()
    captures = SourceImage.objects.order_by("pk")
    make_capture_set([captures[0]]).images.set(captures)
    return rows

"""Minimal occurrence exports."""

import json
from typing import Any

from django.db.models import Model

from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
)
from ami.ml.models import Algorithm

# What the revert of an import removes.
ROWS: tuple[type[Model], ...] = (
    Occurrence,
    Detection,
    Classification,
    Identification,
    SourceImage,
    Event,
)
MODELS = (
    Project,
    Deployment,
    Event,
    SourceImage,
    SourceImageCollection,
    Taxon,
    Occurrence,
    Detection,
    Classification,
    Algorithm,
)


def make_record(number: int, *, captures: int = 2, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"occurrence-{number}",
        "label": "Actias luna",
        "deployment": "Trap",
        "event": {"id": 1, "day": "2022-06-20T00:00:00.000"},
        "examples": [make_example(number, capture) for capture in range(captures)],
    } | fields


def make_example(number: int, capture: int, **fields: Any) -> dict[str, Any]:
    return {
        "source_image_path": f"night/{capture}.jpg",
        "source_image_width": 4096,
        "source_image_height": 2160,
        "label": "Actias luna",
        "score": 0.5,
        "cropped_image_path": f"crops/{number}-{capture}.jpg",
        "timestamp": f"2022-06-21T03:{capture:02d}:00.000Z",
        "bbox": [10 + number, 20, 110 + number, 220],
    } | fields


def plan_in(printed: str) -> Any:
    """The plan that a command printed as JSON, without the id of its Job."""
    plan = json.loads(printed)
    del plan["job"]
    return plan

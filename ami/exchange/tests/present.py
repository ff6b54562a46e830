"""Minimal files in the present formats of Antenna: JSON exports and results of pipelines."""

from typing import Any


def occurrence(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "determination": {"id": 1, "name": "Actias luna"},
        "deployment": {"id": 1, "name": "Trap"},
        "event": None,
        "identifications": [],
        "detections": [detection(number)],
    } | fields


def detection(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "timestamp": "2022-06-20T23:03:00",
        "bbox": [10 + number, 20, 110 + number, 220],
        "capture": {"id": 1, "path": "night/0.jpg", "width": 4096, "height": 2160},
        "classifications": [classification(number)],
    } | fields


def classification(number: int, name: str = "Actias luna", **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "taxon": {"id": 1, "name": name},
        "score": 0.5,
        "algorithm": {"id": 1, "name": "Moth", "task_type": "classification"},
        "created_at": "2022-07-01T00:00:00",
    } | fields


def identification(number: int, name: str = "Actias selene", **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "taxon": {"id": 2, "name": name},
        "user": {"id": 3, "name": "Anna"},
        "created_at": f"2022-08-0{number}T00:00:00",
    } | fields


def results(labels: list[str], scores: list[float]) -> dict[str, Any]:
    """The results of one detection, which the first label names, with scores and logits."""
    algorithm = {"name": "Moth", "key": "moth"}
    return {
        "pipeline": "moths",
        "algorithms": {"moth": {**algorithm, "version": 1, "category_map": {"labels": labels}}},
        "source_images": [{"id": "1", "url": "20220620230000.jpg", "deployment": {"name": "Trap"}}],
        "detections": [
            {
                "source_image_id": "1",
                "bbox": {"x1": 10, "y1": 10, "x2": 100, "y2": 100},
                "classifications": [
                    {
                        "classification": labels[0],
                        "scores": scores,
                        "logits": scores,
                        "algorithm": algorithm,
                    }
                ],
            }
        ],
    }

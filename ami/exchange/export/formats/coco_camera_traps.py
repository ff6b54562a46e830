"""COCO Camera Traps: one JSON document of images, categories and annotations."""

from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

from django.utils import timezone

from ami.exchange.export.boxes import NO_PATH, box_of, has_size
from ami.exchange.export.registry import Format, register
from ami.exchange.export.rows import Capture, Detection
from ami.exchange.export.source import Source
from ami.exchange.export.streams import JsonDocument

EMPTY = 0
NO_NAME = "A detection without a name is annotated as “Unnamed”"
UNNAMED = "Unnamed"


def write(source: Source, target: IO[bytes]) -> None:
    document, content = JsonDocument(target), _Content(source)
    now = timezone.now()
    document.add(
        "info",
        {
            "version": "1.0",
            "year": now.year,
            "date_created": now.isoformat(timespec="seconds"),
            "description": f"Captures of {source.project}",
            "contributor": source.software,
        },
    )
    document.add_list("images", content.images())
    document.add_list("annotations", content.annotations())
    document.add("categories", content.categories())
    document.close()


class _Content:
    """The lists of the document; the categories are those that annotations have named."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._counts: Counter[int] = Counter()

    def images(self) -> Iterator[dict[str, Any]]:
        frames: Counter[int | None] = Counter()
        for capture in self._source.captures():
            if not capture.path:
                self._source.problems.add(NO_PATH, "capture", [capture.id])
                continue
            place = self._source.catalogue.places[capture.deployment_id]
            at = self._source.local(capture.at, place.time_zone)
            frame = frames[capture.event_id]
            frames[capture.event_id] += 1
            night = self._source.nights.get(capture.event_id or 0)
            entry = {
                "id": str(capture.id),
                "file_name": self._source.url(capture.path),
                "width": capture.width,
                "height": capture.height,
                "datetime": f"{at:%Y-%m-%d %H:%M:%S}" if at else None,
                "location": str(capture.deployment_id) if capture.deployment_id else None,
                "location_name": place.name or None,
                "seq_id": str(capture.event_id) if night else None,
                "seq_num_frames": night.captures if night else None,
                "frame_num": frame if night else None,
            }
            yield {key: value for key, value in entry.items() if value is not None}

    def annotations(self) -> Iterator[dict[str, Any]]:
        for capture in self._source.captures():
            if not capture.path:
                continue
            if not capture.detections:
                self._counts[EMPTY] += 1
                yield {
                    "id": f"empty-{capture.id}",
                    "image_id": str(capture.id),
                    "category_id": EMPTY,
                }
            elif has_size(capture, self._source.problems):
                for one in capture.detections:
                    yield from self._annotation(capture, one)

    def categories(self) -> list[dict[str, Any]]:
        taxa = self._source.catalogue.taxa
        names = {EMPTY: "empty", -1: UNNAMED}
        # The empty class always exists, and has the id 0.
        return [
            {"id": pk, "name": names.get(pk) or taxa[pk].name, "count": self._counts[pk]}
            for pk in sorted({EMPTY, *self._counts})
        ]

    def _annotation(self, capture: Capture, one: Detection) -> Iterator[dict[str, Any]]:
        box = box_of(capture, one, self._source.problems)
        if box is None:
            return
        answer, prediction = one.answer, one.prediction
        category = answer.taxon_id or prediction.taxon_id
        if category is None:
            self._source.problems.add(NO_NAME, "detection", [one.id])
            category = -1
        self._counts[category] += 1
        algorithm = self._source.catalogue.algorithms[prediction.algorithm_id]
        yield {
            "id": f"detection-{one.id}",
            "image_id": str(capture.id),
            "category_id": category,
            "bbox": list(box),
            "bbox_relative": list(box.fractions(capture)),
            "sequence_level_annotation": False,
            "individual_id": one.occurrence_id,
            **(
                {"annotator": answer.person, "independent": answer.is_independent}
                if answer.id is not None
                else {"algorithm": algorithm.name, "score": prediction.score}
            ),
        }


register(
    Format(
        key="coco_camera_traps",
        name="COCO Camera Traps",
        suffix=".json",
        media_type="application/json",
        write=write,
        passes=("captures", "captures"),
        description="Images, categories and boxes, for training and for LILA.",
    )
)

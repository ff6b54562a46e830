"""The results of MegaDetector, format 1.6: one JSON document with a list of images."""

from collections.abc import Iterator
from typing import IO, Any

from django.utils import timezone

from ami.exchange.export.boxes import NO_PATH, box_of, has_size
from ami.exchange.export.catalogue import Taxon
from ami.exchange.export.registry import Format, register
from ami.exchange.export.rows import Capture, Detection
from ami.exchange.export.source import Source
from ami.exchange.export.streams import JsonDocument

ANIMAL = "1"
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
NO_SCORE = "A detection without a score of its detector gets the confidence 1"
PERSON = "The name that a person gave is written like a classification with the confidence 1"


def write(source: Source, target: IO[bytes]) -> None:
    document, images = JsonDocument(target), _Images(source)
    document.add(
        "info",
        {
            "format_version": "1.6",
            "detector": "see the database",
            "detection_completion_time": f"{timezone.now():%Y-%m-%d %H:%M:%S}",
            "classifier": "see classification_categories",
            "software": source.software,
        },
    )
    document.add("detection_categories", {ANIMAL: "animal"})
    document.add_list("images", images)
    document.add("classification_categories", images.categories())
    document.add("classification_category_descriptions", images.descriptions())
    document.close()


class _Images:
    """The entries of the images, and the classes that they named."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._named: set[int] = set()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for capture in self._source.captures():
            if not capture.path:
                self._source.problems.add(NO_PATH, "capture", [capture.id])
            elif not capture.detections:
                yield self._entry(capture, [])
            elif has_size(capture, self._source.problems):
                yield self._entry(capture, list(self._detections(capture)))

    def categories(self) -> dict[str, str]:
        return {str(taxon.id): taxon.name for taxon in self._taxa()}

    def descriptions(self) -> dict[str, str]:
        """The lineage of each class, from kingdom to species."""
        return {
            str(taxon.id): ";".join(
                taxon.lineage.get(rank, "").lower().replace(";", ",") for rank in RANKS
            )
            for taxon in self._taxa()
        }

    def _taxa(self) -> list[Taxon]:
        return [self._source.catalogue.taxa[pk] for pk in sorted(self._named)]

    def _entry(self, capture: Capture, detections: list[dict[str, Any]]) -> dict[str, Any]:
        place = self._source.catalogue.places[capture.deployment_id]
        at = self._source.local(capture.at, place.time_zone)
        return {
            "file": self._source.url(capture.path),
            **({"datetime": f"{at:%Y-%m-%d %H:%M:%S}"} if at else {}),
            **({"width": capture.width} if capture.width else {}),
            **({"height": capture.height} if capture.height else {}),
            "detections": detections,
        }

    def _detections(self, capture: Capture) -> Iterator[dict[str, Any]]:
        for one in capture.detections:
            box = box_of(capture, one, self._source.problems)
            if box is None:
                continue
            if one.score is None:
                self._source.problems.add(NO_SCORE, "detection", [one.id])
            yield {
                "category": ANIMAL,
                "conf": 1.0 if one.score is None else one.score,
                "bbox": list(box.fractions(capture)),
                "classifications": list(self._classes(one)),
            }

    def _classes(self, one: Detection) -> Iterator[tuple[str, float]]:
        """The name of a person, then that of the best classification, in falling confidence."""
        person, machine = one.answer.taxon_id, one.prediction
        if person is not None:
            self._named.add(person)
            self._source.problems.add(PERSON, "detection", [one.id])
            yield str(person), 1.0
        if machine.taxon_id not in {None, person}:
            self._named.add(machine.taxon_id or 0)
            yield str(machine.taxon_id), machine.score or 0.0


register(
    Format(
        key="megadetector",
        name="MegaDetector",
        suffix=".json",
        media_type="application/json",
        write=write,
        passes=("captures",),
        description="Results in the format of MegaDetector 1.6, for tools such as Timelapse.",
    )
)

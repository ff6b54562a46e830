"""A row of the observations of a Camtrap DP package."""

import re
from datetime import datetime
from typing import NamedTuple

from ami.exchange.reading import subjects, validation
from ami.exchange.reading.records import AlgorithmRecord, ClassificationRecord, Fault
from ami.exchange.reading.rows import Row, number, score
from ami.main.models.taxon import NOT_IDENTIFIABLE

COLUMNS = ("observationID", "deploymentID", "observationLevel", "observationType")
ALGORITHM = re.compile(r"(.*\S) v([1-9]\d{0,8})")
TYPES = frozenset({"animal", "human", "vehicle", "blank", "unknown", "unclassified"})


class Observation(NamedTuple):
    """A row of observations. `by` is a person or an algorithm, as `machine` tells."""

    place: str
    id: str
    level: str
    type: str
    deployment: str
    media: str
    event: str
    individual: str
    box: list[float] | None
    label: str
    machine: bool
    by: str
    at: datetime | None
    score: float | None
    tags: str
    comment: str

    @property
    def name(self) -> str:
        return self.label or self.type

    @property
    def algorithm(self) -> AlgorithmRecord | None:
        """The algorithm; our own packages write its version after its name, such as "v3"."""
        found = ALGORITHM.fullmatch(self.by)
        if found:
            return AlgorithmRecord(found[1], int(found[2]))
        return AlgorithmRecord(self.by) if self.by else None

    @property
    def classification(self) -> ClassificationRecord:
        """The name as that of an algorithm."""
        return ClassificationRecord(self.label, self.score, self.algorithm, self.at)


def observation_of(row: Row) -> Observation:
    method, probability = row.text("classificationMethod"), row.text("classificationProbability")
    level, kind = row.text("observationLevel"), row.text("observationType")
    media = row.value("mediaID", validation.check_id) or ""
    if level not in {"media", "event"}:
        row.fault("observationLevel", "must be media or event", level)
    elif level == "media" and not media:
        row.faults.append(Fault(row.place, "mediaID is empty, but the level is media."))
    if kind not in TYPES:
        row.fault("observationType", f"must be one of {', '.join(sorted(TYPES))}", kind)
    # That a person could not tell is an answer, which outweighs what machines say.
    unknown = NOT_IDENTIFIABLE if kind == "unknown" and method == "human" else ""
    return Observation(
        place=row.place,
        id=row.required("observationID", validation.check_id) or "",
        level=level,
        type=kind,
        deployment=row.text("deploymentID"),
        media=media if level == "media" else "",
        event=row.value("eventID", validation.check_id) or "",
        individual=row.value("individualID", validation.check_id) or "",
        box=_box(row),
        label=row.value("scientificName", validation.check_name) or unknown,
        machine=method == "machine" or (not method and bool(probability)),
        by=row.value("classifiedBy", validation.check_name) or "",
        at=row.value("classificationTimestamp", validation.check_local_time),
        score=row.value("classificationProbability", score),
        tags=row.text("observationTags"),
        comment=row.text("observationComments"),
    )


def _box(row: Row) -> list[float] | None:
    columns = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
    if not any(map(row.text, columns)):
        return None
    numbers = [row.required(column, number) for column in columns]
    if row.faults:
        return None
    try:
        return validation.check_share_box(numbers)
    except ValueError as error:
        row.fault("bboxX, bboxY, bboxWidth, bboxHeight", str(error), numbers)
        return None


def why_skipped(one: Observation, row: Row) -> str:
    if one.type in subjects.NOT_ANIMALS:
        return subjects.NO_ANIMAL
    if row.text("cameraSetupType"):
        return "belongs to the set-up of the camera"
    if one.type == "blank":
        return "is about a whole event, not about a picture"
    if one.level == "event" and not one.individual:
        return subjects.NO_OWN_PICTURE
    return ""

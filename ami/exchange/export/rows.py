"""The rows that writers get, and the SQL that reads a batch of them."""

from datetime import datetime, time
from typing import NamedTuple

from ami.main.models.deployment import NOON


class Place(NamedTuple):
    """A deployment. Coordinates are in degrees, and `time_zone` is an IANA name."""

    id: int
    name: str
    latitude: float | None
    longitude: float | None
    time_zone: str
    night_starts: time = NOON
    description: str = ""


class Night(NamedTuple):
    """A night with its first and last time."""

    id: int
    name: str
    deployment_id: int | None
    start: datetime | None
    end: datetime | None


class Span(NamedTuple):
    """The captures in scope of a deployment or night: the first and last time, and their number."""

    first: datetime | None
    last: datetime | None
    captures: int


class Answer(NamedTuple):
    """The identification that decides an occurrence; `id` is None if no person decided it."""

    id: int | None
    taxon_id: int | None
    person: str | None
    at: datetime | None
    agreed_with_algorithm: str | None
    agreed_with_person: str | None
    confirms_prediction: bool | None
    confirms_identification: bool | None
    blind: bool | None
    saw_name: bool | None

    @property
    def is_independent(self) -> bool | None:
        """As :attr:`Identification.is_independent`; None without a person."""
        if self.id is None:
            return None
        return not (self.confirms_prediction or self.confirms_identification or self.saw_name)

    @property
    def how(self) -> str:
        """How the answer came about, in words."""
        if self.id is None:
            return ""
        if self.confirms_identification:
            return "agreed with a person"
        if self.confirms_prediction:
            return "agreed with a classifier"
        return "named, blind" if self.blind else "named"


class Prediction(NamedTuple):
    """A classification with its algorithm and the Job that wrote it; `id` is None without one."""

    id: int | None
    detection_id: int | None
    taxon_id: int | None
    score: float | None
    terminal: bool | None
    at: datetime | None
    algorithm_id: int | None
    job_id: int | None
    applied_to_id: int | None


class Seen(NamedTuple):
    """A detection on its capture: the box in pixels, and the sizes and paths of the pictures."""

    id: int | None
    box: list[float] | None
    crop: str | None
    capture_id: int | None
    capture: str | None
    width: int | None
    height: int | None


class Occurrence(NamedTuple):
    """An occurrence with what decides its taxon, and its best detection."""

    id: int
    deployment_id: int | None
    event_id: int | None
    taxon_id: int | None
    score: float | None
    detections: int
    first: datetime | None
    last: datetime | None
    people: int
    answer: Answer
    prediction: Prediction
    best: Seen


class Detection(NamedTuple):
    """A detection with its own best classification, and the answer that decides its occurrence."""

    id: int
    box: list[float] | None
    crop: str
    score: float | None
    algorithm_id: int | None
    occurrence_id: int | None
    answer: Answer
    prediction: Prediction


class Capture(NamedTuple):
    """A capture with its detections in scope, in the order of their ids."""

    id: int
    path: str
    at: datetime | None
    width: int | None
    height: int | None
    deployment_id: int | None
    event_id: int | None
    detections: list[Detection]


NO_ANSWER = Answer(*[None] * len(Answer._fields))
NO_PREDICTION = Prediction(*[None] * len(Prediction._fields))
NOT_SEEN = Seen(*[None] * len(Seen._fields))

# The order of the determination rule; see `ami.main.determinations`.
_BEST_FIRST = """c.terminal DESC, t.identifiable DESC, c.score DESC NULLS LAST, c.timestamp DESC,
    c.id DESC"""
_PREDICTION = """c.id, c.detection_id, c.taxon_id, c.score, c.terminal, c.timestamp,
    c.algorithm_id, c.job_id, c.applied_to_id"""
_CHOSEN = """source_image_id = ANY(%(ids)s::bigint[])
    AND (%(occurrences)s::bigint[] IS NULL OR occurrence_id = ANY(%(occurrences)s::bigint[]))"""

OCCURRENCES = """
SELECT id, deployment_id, event_id, determination_id, determination_score
FROM main_occurrence WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id
"""

# Of occurrences, the first columns are the occurrence, and the time.
SEEN = """
SELECT d.occurrence_id, COALESCE(s.timestamp, d.timestamp),
       d.id, d.bbox, d.path, s.id, s.path, s.width, s.height
FROM main_detection d JOIN main_sourceimage s ON s.id = d.source_image_id
WHERE d.occurrence_id = ANY(%(ids)s::bigint[]) ORDER BY d.id
"""

BEST_OF_OCCURRENCES = f"""
SELECT DISTINCT ON (d.occurrence_id) d.occurrence_id, {_PREDICTION}
FROM main_detection d JOIN main_classification c ON c.detection_id = d.id
JOIN main_taxon t ON t.id = c.taxon_id
WHERE d.occurrence_id = ANY(%(ids)s::bigint[])
ORDER BY d.occurrence_id, {_BEST_FIRST}
"""  # noqa: S608 -- constants

# The identifications of occurrences, the one that counts last.
ANSWERS = """
SELECT i.occurrence_id, i.user_id, i.id, i.taxon_id,
       COALESCE(NULLIF(who.name, ''), 'Person ' || who.id), i.created_at, agreed.name,
       COALESCE(NULLIF(other.name, ''), 'Person ' || other.id),
       i.agreed_with_prediction_id IS NOT NULL, i.agreed_with_identification_id IS NOT NULL,
       i.blind, i.sample_id IS NOT NULL AND NOT i.blind
FROM main_identification i
LEFT JOIN users_user who ON who.id = i.user_id
LEFT JOIN main_classification confirmed ON confirmed.id = i.agreed_with_prediction_id
LEFT JOIN ml_algorithm agreed ON agreed.id = confirmed.algorithm_id
LEFT JOIN main_identification former ON former.id = i.agreed_with_identification_id
LEFT JOIN users_user other ON other.id = former.user_id
WHERE i.occurrence_id = ANY(%(ids)s::bigint[]) AND NOT i.withdrawn
ORDER BY i.created_at, i.id
"""

CAPTURES = """
SELECT id, path, timestamp, width, height, deployment_id, event_id
FROM main_sourceimage WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id
"""

DETECTIONS = f"""
SELECT source_image_id, id, bbox, path, detection_score, detection_algorithm_id, occurrence_id
FROM main_detection WHERE {_CHOSEN} ORDER BY id
"""  # noqa: S608 -- constants

BEST_OF_DETECTIONS = f"""
SELECT DISTINCT ON (c.detection_id) {_PREDICTION}
FROM main_classification c JOIN main_taxon t ON t.id = c.taxon_id
WHERE c.detection_id = ANY(%(ids)s::bigint[])
ORDER BY c.detection_id, {_BEST_FIRST}
"""  # noqa: S608 -- constants

CLASSIFICATIONS = f"""
SELECT {_PREDICTION}
FROM main_classification c JOIN (
    SELECT id, source_image_id FROM main_detection WHERE {_CHOSEN}
) d ON d.id = c.detection_id
ORDER BY d.source_image_id, d.id, c.id
"""  # noqa: S608 -- constants

SPANS = """
SELECT {column}, min(timestamp), max(timestamp), count(*)
FROM main_sourceimage WHERE {column} IS NOT NULL AND id IN ({captures})
GROUP BY {column} ORDER BY {column}
"""

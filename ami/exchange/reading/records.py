"""What readers yield: occurrences, with everything that a file says about them.

The records hold what is written in the file. They name taxa, deployments and algorithms by text;
the import finds the rows for which these stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, NamedTuple

WHOLE = (0.0, 0.0, 1.0, 1.0)  # as shares of the capture
# The columns of a deployment that a file may tell.
FACTS = ("latitude", "longitude", "time_zone", "night_starts", "description")


@dataclass(slots=True)
class CaptureRecord:
    """A picture. `deployment` is empty if the file does not name it.

    A `timestamp` without a time zone is the local time of the deployment. `night` is the date on
    which the night of the capture began, or None if the file does not tell it. `width` and `height`
    are in pixels, and None if the file does not tell them.
    """

    deployment: str
    path: str
    timestamp: datetime | None = None
    width: int | None = None
    height: int | None = None
    night: date | None = None

    @property
    def key(self) -> tuple[str, str]:
        """By what the row of the capture is found."""
        return self.deployment, self.path

    def complete(self, other: "CaptureRecord") -> None:
        """Take what is not known from another record of the same capture."""
        self.timestamp = self.timestamp or other.timestamp
        self.width, self.height = self.width or other.width, self.height or other.height
        self.night = self.night or other.night


class AlgorithmRecord(NamedTuple):
    """A version of an algorithm. `labels` are those of its category map, in order, if known.

    `gbif_keys` has one key or None per label, or is empty.
    """

    name: str
    version: int = 1
    task_type: str = "classification"
    labels: tuple[str, ...] = ()
    gbif_keys: tuple[int | None, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.version))  # of thousands of labels, it would take long


@dataclass(slots=True)
class ClassificationRecord:
    """What an algorithm, or the import if it is None, said about a detection.

    `key` is the id of the row in the file, to which `applied_to` of another one refers. `scores`
    and `logits` have one number per label of the algorithm.
    """

    label: str
    score: float | None
    algorithm: AlgorithmRecord | None = None
    timestamp: datetime | None = None
    terminal: bool = True
    scores: Sequence[float] | None = None
    logits: Sequence[float] | None = None
    key: str = ""
    applied_to: str = ""


@dataclass(slots=True)
class DetectionRecord:
    """A box on a capture: x1, y1, x2, y2 in pixels, or as shares of width and height.

    `crop` is the path or URL of the picture that was cut out, or empty. `algorithm` is the
    detector, and `score` its score. `place` is the place in the file, such as
    "[3].detections[0]" or "line 7". The import sets `same_as` to the place of an earlier detection
    of the file with the same box, if there is one.

    A `whole` one has no box in the file: its `bbox` is the whole capture, which `shared` ones have
    in common with other occurrences. Only an import that is told so keeps it.
    """

    place: str
    capture: CaptureRecord
    bbox: Sequence[float]
    classifications: list[ClassificationRecord] = field(default_factory=list)
    crop: str = ""
    timestamp: datetime | None = None
    fractions: bool = False
    algorithm: AlgorithmRecord | None = None
    score: float | None = None
    same_as: str = ""
    whole: bool = False
    shared: bool = False


@dataclass(slots=True)
class IdentificationRecord:
    """The name that a person gave. `key` and `agreed_with` are ids of the file, as above.

    `agreed_with_prediction` refers to a classification, `agreed_with_identification` to an
    identification, both by `key`. `blind` says whether the determination was hidden.
    """

    label: str
    person: str = ""
    comment: str = ""
    withdrawn: bool = False
    timestamp: datetime | None = None
    key: str = ""
    agreed_with_prediction: str = ""
    agreed_with_identification: str = ""
    blind: bool = False


@dataclass(slots=True)
class OccurrenceRecord:
    """One individual with all of its detections, at least one.

    `key` is its id in the file, or empty if the format knows no occurrences; then each detection is
    an occurrence. `label` is its determination in the file, or empty.
    """

    place: str
    detections: list[DetectionRecord]
    key: str = ""
    label: str = ""
    identifications: list[IdentificationRecord] = field(default_factory=list)


class EmptyCapture(NamedTuple):
    """A capture on which nothing was detected."""

    place: str
    capture: CaptureRecord


class DeploymentRecord(NamedTuple):
    """What a file says about a deployment, before the first of its captures.

    A `name` stands in one record. Coordinates are in degrees, and None if the file does not tell
    them; `time_zone` is an IANA name, and `description` a text, both empty if it does not.
    """

    place: str
    name: str
    latitude: float | None = None
    longitude: float | None = None
    time_zone: str = ""
    night_starts: time | None = None
    description: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """What is told, by the names of the columns of a deployment."""
        values = self._asdict()
        return {name: values[name] for name in FACTS if values[name] not in (None, "")}


class Fault(NamedTuple):
    """What makes the file unfit for an import. `sentence` names the fact, the value, the remedy."""

    place: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


class Skipped(NamedTuple):
    """A row that the import leaves out. `reason` is a predicate of `name`."""

    place: str
    name: str
    reason: str


Item = OccurrenceRecord | EmptyCapture | DeploymentRecord | Fault | Skipped

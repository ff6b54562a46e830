"""Results of a pipeline (`PipelineResultsResponse`): one file, a folder of files, or its zip."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile, ZipInfo

from ami.base.words import counted
from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.reading.antenna import lasting, time_in_name
from ami.exchange.reading.category_maps import NO_LABELS, Algorithms, check_labels
from ami.exchange.reading.files import BROKEN, is_archive, open_archive, unpacked
from ami.exchange.reading.json_row import JsonRow
from ami.exchange.reading.json_stream import json_items, json_kind, json_value
from ami.exchange.reading.records import (
    AlgorithmRecord,
    CaptureRecord,
    ClassificationRecord,
    DetectionRecord,
    EmptyCapture,
    Fault,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.start import LOOKED_AT, Kind, Start, json_start, start_of
from ami.exchange.reading.validation import (
    check_flag,
    check_id,
    check_local_time,
    check_name,
    is_number,
)
from ami.ml.models import AlgorithmTaskType

LISTS = frozenset({"source_images", "detections"})
LOOKED_INTO = 10  # files of a folder
ARCHIVES = frozenset({".zip", ".gz", ".tgz", ".tar", ".7z", ".rar", ".bz2", ".xz", ".zst"})
MACINTOSH = "__MACOSX"  # a folder that its archives have
MAX_TOLD = 200  # characters of an error
CORNERS = ("x1", "y1", "x2", "y2")
DETECTOR = AlgorithmTaskType.LOCALIZATION.value
CLASSIFIER = AlgorithmTaskType.CLASSIFICATION.value


def recognises(start: Start) -> bool:
    if start.kind == Kind.FOLDER:
        return any(_is_result(path) for path in islice(_files(start.path), LOOKED_INTO))
    if start.kind == Kind.ARCHIVE:
        with open_archive(start.path) as archive:
            members = islice(_members(archive), LOOKED_INTO)
            return any(_is_packed_result(archive, one) for one in members)
    keys = start.keys.keys()
    # Behind a long category map, the lists are not seen.
    is_result = keys >= LISTS or keys >= {"pipeline", "algorithms"}
    return start.kind == Kind.OBJECT and is_result


def _is_result(path: Path) -> bool:
    with suppress(ImportRefusedError):
        return recognises(start_of(path))
    return False


def _is_packed_result(archive: ZipFile, member: ZipInfo) -> bool:
    with suppress(*BROKEN), archive.open(member) as file:
        start = json_start(Path(member.filename), file.read(LOOKED_AT))
        return start is not None and recognises(start)
    return False


def _members(archive: ZipFile) -> Iterator[ZipInfo]:
    """Yield the JSON files of an archive in the order of their names."""
    for one in sorted(archive.infolist(), key=attrgetter("filename")):
        parts = PurePosixPath(one.filename.replace("\\", "/")).parts
        hidden = any((part[0] == "." and part != "..") or part == MACINTOSH for part in parts)
        if one.filename.lower().endswith(".json") and not hidden:
            yield one


def _files(folder: Path) -> Iterator[Path]:
    """Yield the JSON files of a folder in the order of their names."""
    paths = (path for path in folder.iterdir() if path.suffix.lower() == ".json")
    yield from sorted(path for path in paths if path.is_file() and path.name[0] != ".")


def read(path: Path) -> Iterator[Item]:
    algorithms = Algorithms()
    if path.is_dir():
        for one in _files(path):
            yield from _of_several(one.name, nullcontext(one), algorithms)
    elif is_archive(path):
        with open_archive(path) as archive:
            for member in _members(archive):
                yield from _of_several(member.filename, unpacked(archive, member), algorithms)
            yield from _nested(archive)
    else:
        yield from _Results(path, "", algorithms).items()


def _of_several(
    name: str, file: AbstractContextManager[Path], algorithms: Algorithms
) -> Iterator[Item]:
    """Yield what one of several files contains; that it cannot be read is a fault."""
    try:
        with file as path:
            try:
                yield from _Results(path, f"{name}: ", algorithms).items()
            except ImportRefusedError as error:
                yield Fault(name, str(error).removeprefix(f"{path} "))
    except ImportRefusedError as error:
        yield Fault(name, str(error).removeprefix(f"{name} "))


def _nested(archive: ZipFile) -> Iterator[Item]:
    for name in archive.namelist():
        if PurePosixPath(name).suffix.lower() in ARCHIVES:
            yield Skipped(name, name, "is an archive within the archive, and is not read")


class _Results:
    """The results in one file. `prefix` stands before all places in it."""

    def __init__(self, path: Path, prefix: str, algorithms: Algorithms) -> None:
        self.path = path
        self.prefix = prefix
        self.algorithms = algorithms
        self.by_key: dict[str, AlgorithmRecord] = {}
        self.captures: dict[str, CaptureRecord] = {}
        self.faults: list[Fault] = []
        self.unlabelled: dict[AlgorithmRecord, str] = {}

    def items(self) -> Iterator[Item]:
        self._read_algorithms()
        self._read_captures()
        if json_kind(self.path, "detections") != "start_array":
            self._refuse("detections", "must be a list, which may be empty.")
        yield from self._told()
        seen = set()
        for number, value in enumerate(json_items(self.path, "detections.item")):
            detection = self._detection(self._row(value, f"detections[{number}]"))
            if self.faults:
                yield from self._told()
            elif detection:
                seen.add(detection.capture.path)
                yield OccurrenceRecord(place=detection.place, detections=[detection])
        yield from self._left_out()
        for number, capture in enumerate(self.captures.values()):
            if capture.path not in seen:
                yield EmptyCapture(f"{self.prefix}source_images[{number}]", capture)

    def _row(self, value: Any, place: str) -> JsonRow:
        return JsonRow(value, f"{self.prefix}{place}", self.faults)

    def _refuse(self, place: str, sentence: str) -> None:
        self.faults.append(Fault(f"{self.prefix}{place}", sentence))

    def _told(self) -> list[Fault]:
        """Return the faults that were found since the last call."""
        faults = self.faults.copy()
        self.faults.clear()
        return faults

    def _read_algorithms(self) -> None:
        described = self._row(json_value(self.path, "algorithms") or {}, "algorithms")
        for key in described.values:
            if one := described.row(key):
                self.by_key[key] = self.algorithms.read(one)

    def _read_captures(self) -> None:
        images = json_value(self.path, "source_images")
        if not isinstance(images, list):
            self._refuse("source_images", f"must be a list of pictures, got {shown(images)}.")
            return
        for number, value in enumerate(images):
            row = self._row(value, f"source_images[{number}]")
            key, deployment = row.need("id", check_id, ""), row.row("deployment")
            path = row.need("url", lasting, "")
            capture = CaptureRecord(
                deployment=deployment.need("name", check_name, "") if deployment else "",
                path=path,
                timestamp=time_in_name(path),
            )
            if self.captures.setdefault(key, capture) != capture and key:
                row.refuse("id", f"occurs twice, with another picture, got {shown(key)}.")

    def _detection(self, row: JsonRow) -> DetectionRecord | None:
        """Return a detection, or None for one without a box, which marks an empty capture."""
        if row.lacks("bbox"):
            return None
        key, box = row.need("source_image_id", check_id, ""), row.row("bbox")
        if key and key not in self.captures:
            row.refuse("source_image_id", f"must be an id of source_images, got {shown(key)}.")
        capture = self.captures.get(key) or CaptureRecord("", "")
        return DetectionRecord(
            place=row.place,
            capture=capture,
            bbox=[box.need(corner, _check_number, 0.0) for corner in CORNERS] if box else [],
            crop=row.get("crop_image_url", lasting, ""),
            timestamp=capture.timestamp,
            algorithm=self._algorithm(row, DETECTOR),
            classifications=[self._classification(one) for one in row.rows("classifications")],
        )

    def _algorithm(self, row: JsonRow, task: str) -> AlgorithmRecord | None:
        """Return the algorithm to which a row refers, which the file may not describe."""
        reference = row.row("algorithm")
        if reference is None:
            return None
        described = self.by_key.get(reference.get("key", check_id, ""))
        if described:
            return described
        named = AlgorithmRecord(reference.need("name", check_name, ""), task_type=task)
        return self.algorithms.labelled(named, NO_LABELS, reference, "name")

    def _classification(self, row: JsonRow) -> ClassificationRecord:
        label = row.need("classification", check_name, "")
        algorithm = self._algorithm(row, CLASSIFIER)
        if algorithm is None:
            row.refuse("algorithm", "is missing; a classification needs its algorithm.")
        else:
            labels = row.get("labels", check_labels, NO_LABELS)
            algorithm = self.algorithms.labelled(algorithm, labels, row, "labels")
        scores = self._numbers(row, "scores", _check_scores, algorithm)
        logits = self._numbers(row, "logits", _check_numbers, algorithm)
        score = max(scores, default=None)
        if algorithm and algorithm.labels:
            index = self.algorithms.index(algorithm, label)
            if index is None and label:
                row.refuse(
                    "classification",
                    f"must be a label of {algorithm.name!r}, got {shown(label)}.",
                )
            elif index is not None and index < len(scores):
                score = scores[index]
        has_labels = algorithm is not None and bool(algorithm.labels)
        return ClassificationRecord(
            label=label,
            score=score,
            algorithm=algorithm,
            timestamp=row.get("timestamp", check_local_time, None),
            terminal=row.get("terminal", check_flag, default=True),
            scores=scores if scores and has_labels else None,
            logits=logits if logits and has_labels else None,
        )

    def _numbers(
        self,
        row: JsonRow,
        key: str,
        check: Callable[[Any], list[float]],
        algorithm: AlgorithmRecord | None,
    ) -> list[float]:
        """Return a vector, which must have one number per label where labels are known."""
        numbers: list[float] = row.get(key, check, [])
        if not numbers or algorithm is None:
            return numbers
        if not algorithm.labels:
            if len(numbers) > 1 or key == "logits":
                self.unlabelled.setdefault(algorithm, f"{row.place}.{key}")
        elif len(numbers) != len(algorithm.labels):
            row.refuse(
                key,
                f"must have one number for each of the {len(algorithm.labels)} labels of "
                f"{algorithm.name!r}, got {counted(len(numbers), 'number')}.",
            )
        return numbers

    def _left_out(self) -> Iterator[Skipped]:
        for algorithm, place in self.unlabelled.items():
            name = f"scores and logits of {algorithm.name}"
            reason = "have no labels, because the file has no category map of the algorithm"
            yield Skipped(place, name, reason)
        errors = json_value(self.path, "errors") or []
        for number, error in enumerate(errors if isinstance(errors, list) else [errors]):
            place = f"{self.prefix}errors[{number}]"
            told = error if isinstance(error, str) else shown(error)
            yield Skipped(
                place, "a picture or a step of the pipeline", f"failed: {told[:MAX_TOLD]}"
            )


def _check_number(value: Any) -> float:
    if not is_number(value):
        raise ValueError("must be a finite number of pixels")
    return float(value)


def _check_numbers(value: Any) -> list[float]:
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        raise ValueError("must be a list of numbers")
    return value


def _check_scores(value: Any) -> list[float]:
    scores = _check_numbers(value)
    if scores and (min(scores) < 0 or max(scores) > 1):
        raise ValueError("must have numbers from 0 to 1 only")
    return scores


register(
    Reader(
        key="pipeline_results",
        name="the results of a pipeline",
        description="Detections with all scores and logits, in one file, a folder, or its zip.",
        recognises=recognises,
        read=read,
    )
)

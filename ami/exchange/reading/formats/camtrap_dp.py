"""Camtrap DP 1.0: a package of deployments, media and observations: https://camtrap-dp.tdwg.org."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.reading import subjects, validation
from ami.exchange.reading.camtrap import COLUMNS, Observation, observation_of, why_skipped
from ami.exchange.reading.files import Files
from ami.exchange.reading.package import DESCRIPTION, Package
from ami.exchange.reading.places import Places, described
from ami.exchange.reading.records import (
    WHOLE,
    AlgorithmRecord,
    CaptureRecord,
    ClassificationRecord,
    DeploymentRecord,
    DetectionRecord,
    EmptyCapture,
    Fault,
    IdentificationRecord,
    Item,
    OccurrenceRecord,
    Skipped,
)
from ami.exchange.reading.registry import Reader, register
from ami.exchange.reading.rows import Row, score, whole
from ami.exchange.reading.spool import Part, Said, Spool
from ami.exchange.reading.start import Kind, Start

DEPLOYMENTS = ("deploymentID",)
MEDIA = ("mediaID", "deploymentID", "filePath")
# Our own table, which other packages do not have.
CLASSIFICATIONS = ("classificationID", "observationID", "scientificName")

PROFILE = re.compile(r"camtrap-dp/v?(\d+)\.")
# Width and height in exifData; our own packages have the first pair.
SIZES = (
    ("ImageWidth", "ImageHeight"),
    ("ExifImageWidth", "ExifImageHeight"),
    ("PixelXDimension", "PixelYDimension"),
)


def recognises(start: Start) -> bool:
    if start.kind == Kind.OBJECT:
        return start.path.name == DESCRIPTION and "resources" in start.keys
    return any(name.rpartition("/")[2] == DESCRIPTION for name in start.names)


def read(path: Path) -> Iterator[Item]:
    with Files.opened(path, DESCRIPTION) as files, Spool.opened() as spool:
        package = Package(files)
        _check_version(package)
        deployments: dict[str, str] = {}
        yield from _keep_deployments(package, deployments)
        for row in package.rows("media", MEDIA):
            yield from _keep_medium(row, deployments, spool)
        if "classifications" in package:
            for index, row in enumerate(package.rows("classifications", CLASSIFICATIONS)):
                yield from _keep_classification(row, index, spool)
        for row in package.rows("observations", COLUMNS):
            yield from _keep_observation(row, spool)
        for parts in spool.bundles():
            yield from _occurrence(parts, spool)
        yield from _captures(spool)


def _check_version(package: Package) -> None:
    found = PROFILE.search(str(package.description.get("profile")))
    if found and found[1] != "1":
        raise ImportRefusedError(
            f"{DESCRIPTION}: the profile is of Camtrap DP {found[1]}, and only 1.0 can be read: "
            f"{shown(package.description['profile'], length=120)}."
        )


def _keep_deployments(package: Package, deployments: dict[str, str]) -> Iterator[Item]:
    """Fill in the names by id. Locations that share a name get their ids behind it."""
    locations: defaultdict[str, set[str]] = defaultdict(set)
    found: dict[str, tuple[str, str, DeploymentRecord]] = {}
    for row in package.rows("deployments", DEPLOYMENTS):
        pk = row.required("deploymentID", validation.check_id)
        location = row.value("locationID", validation.check_name) or ""
        name = row.value("locationName", validation.check_name) or location or pk or ""
        if pk in found:
            row.fault("deploymentID", "occurs twice", pk)
        elif pk:
            found[pk] = name, location, _described(row)
            locations[name].add(location)
        yield from row.faults
    places = Places()
    for pk, (name, location, record) in found.items():
        deployments[pk] = f"{name} ({location})" if len(locations[name]) > 1 else name
        if contradiction := places.add(record._replace(name=deployments[pk])):
            yield contradiction
    yield from places.values()


def _described(row: Row) -> DeploymentRecord:
    """What a row says about its deployment; its name is filled in later."""
    tags = dict(map(_tag, row.text("deploymentTags").split("|")))
    columns = ("latitude", "longitude")
    return described(row, "", tags, coordinates=columns, text="deploymentComments")


def _tag(written: str) -> tuple[str, str]:
    key, _, value = written.partition(":")
    return key.strip(), value.strip()


def _keep_medium(row: Row, deployments: Mapping[str, str], spool: Spool) -> Iterator[Item]:
    key = row.required("mediaID", validation.check_id)
    deployment = row.required("deploymentID", validation.check_id)
    path = row.required("filePath", validation.check_file_name)
    at = row.value("timestamp", validation.check_local_time)
    kind = row.text("fileMediatype")
    if deployment and deployment not in deployments:
        row.fault("deploymentID", "must be the id of a deployment", deployment)
    record = None
    if kind and not kind.startswith("image/"):
        yield Skipped(row.place, path or kind, subjects.NO_PICTURE)
    elif deployment and path and not row.faults:
        width, height = _size(row.text("exifData"))
        record = CaptureRecord(deployments[deployment], path, at, width, height)
    if key and not spool.add_capture(key, row.place, record):
        row.fault("mediaID", "occurs twice", key)
    yield from row.faults


def _size(exif: str) -> tuple[int, int] | tuple[None, None]:
    """Width and height in pixels, if the text is a JSON object that has them."""
    with suppress(ValueError, RecursionError):
        values = json.loads(exif) if exif else None
        if not isinstance(values, dict):
            return None, None
        for names in SIZES:
            if set(names) <= set(values):
                width, height = (validation.check_size(values[name]) for name in names)
                return width, height
    return None, None


def _keep_classification(row: Row, index: int, spool: Spool) -> Iterator[Item]:
    key = row.required("classificationID", validation.check_id)
    observation = row.required("observationID", validation.check_id)
    label = row.value("scientificName", validation.check_name)
    name = row.value("algorithm", validation.check_name)
    version = row.value("algorithmVersion", whole) or 1
    record = ClassificationRecord(
        label=label or "",
        score=row.value("probability", score),
        algorithm=AlgorithmRecord(name, version) if name else None,
        timestamp=row.value("timestamp", validation.check_local_time),
        terminal=row.text("terminal").lower() != "false",
        key=key or "",
        applied_to=row.value("appliedTo", validation.check_id) or "",
    )
    if not row.faults and not label:
        yield Skipped(row.place, f"classification {key}", "has no name")
    elif observation and not row.faults:
        spool.add_detail(observation, index, record)
    yield from row.faults


def _keep_observation(row: Row, spool: Spool) -> Iterator[Item]:
    one = observation_of(row)
    yield from row.faults
    if row.faults:
        return
    if one.level == "media":
        spool.say(one.media, Said.EMPTY if one.type == "blank" else Said.SEEN)
        if one.type == "blank":
            return
    if reason := why_skipped(one, row):
        yield Skipped(one.place, one.name, reason)
        return
    individual = one.deployment, one.event, one.individual
    # Several observations may name the same box, each in its own words.
    bundle = individual if one.individual else (one.media, repr(one.box or one.id))
    whole = one.level == "media" and one.box is None
    spool.add_part("\0".join(bundle), one, capture=one.media or None, whole=whole)


def _occurrence(parts: list[Part], spool: Spool) -> Iterator[Item]:
    seen: list[Observation] = []
    events: list[Observation] = []
    detections: dict[tuple[str, str], DetectionRecord] = {}
    for one, capture, known, shared in parts:
        if one.level == "event":
            events.append(one)
        elif not known:
            yield Fault(one.place, f"mediaID must be the id of a medium, got {shown(one.media)}.")
        elif capture is None:
            yield Skipped(one.place, one.name, "is on a medium that is not imported")
        else:
            seen.append(one)
            detection = DetectionRecord(
                one.place,
                capture,
                one.box or WHOLE,
                fractions=True,
                whole=one.box is None,
                shared=shared,
            )
            detection = detections.setdefault((one.media, repr(one.box)), detection)
            detection.classifications += _classifications(one, spool)
    if not detections:
        yield from (Skipped(one.place, one.name, subjects.NO_OWN_PICTURE) for one in events)
        return
    found = list(detections.values())
    _add_name_of_event(events, found)
    first: Observation = parts[0].value
    yield OccurrenceRecord(
        place=first.place,
        detections=found,
        key=_key(first),
        label=next((one.label for one in reversed(events) if one.label), ""),
        identifications=_identifications([*events, *seen], found),
    )


def _key(one: Observation) -> str:
    """The individual in its event, or empty if the file does not tell individuals apart."""
    place = one.event or one.deployment
    return f"{place}/{one.individual}" if one.individual else ""


def _classifications(one: Observation, spool: Spool) -> list[ClassificationRecord]:
    """The lineage if the package has it, and otherwise the name of an algorithm."""
    lineage: list[ClassificationRecord] = spool.details(one.id)
    return lineage or ([one.classification] if one.machine and one.label else [])


def _add_name_of_event(events: list[Observation], detections: list[DetectionRecord]) -> None:
    """Give the first detection the name of an algorithm that only the event has."""
    for one in events:
        named = {each.label for detection in detections for each in detection.classifications}
        if one.machine and one.label and one.label not in named:
            detections[0].classifications.append(one.classification)


def _identifications(
    observations: list[Observation], detections: list[DetectionRecord]
) -> list[IdentificationRecord]:
    """The name that each person gave, once, though each of the detections repeats it."""
    found: dict[tuple[str, str], IdentificationRecord] = {}
    for one in observations:
        if one.machine or not one.label or (one.label, one.by) in found:
            continue
        found[one.label, one.by] = IdentificationRecord(
            label=one.label,
            person=one.by,
            comment=one.comment,
            timestamp=one.at,
            blind="blind:true" in one.tags,
            agreed_with_prediction=_agreed_with(one, detections),
        )
    return list(found.values())


def _agreed_with(one: Observation, detections: list[DetectionRecord]) -> str:
    """The key of a classification that gives the name, if the person did not answer alone."""
    if "independent:false" not in one.tags:
        return ""
    named = (each for detection in detections for each in detection.classifications)
    return next((each.key for each in named if each.label == one.label), "")


def _captures(spool: Spool) -> Iterator[Item]:
    for place, said, record in spool.captures():
        if record and said == Said.EMPTY:
            yield EmptyCapture(place, record)
        elif record and said == Said.NOTHING:
            yield Skipped(place, record.path, "has no observation of its own")


register(
    Reader(
        key="camtrap_dp",
        name="a Camtrap DP package",
        description="A folder or a zip with deployments, media and observations of camera traps.",
        recognises=recognises,
        read=read,
    )
)

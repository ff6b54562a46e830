"""Camtrap DP 1.0.2, a zip of tables with a description: https://camtrap-dp.tdwg.org."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from mimetypes import guess_type
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import uuid4

from django.utils import timezone
from django.utils.text import slugify

from ami.exchange import camtrap
from ami.exchange.base import NIGHT_STARTS, TIME_ZONE
from ami.exchange.export.archive import Archive
from ami.exchange.export.boxes import box_of, has_size
from ami.exchange.export.catalogue import Taxon
from ami.exchange.export.registry import Format, register
from ami.exchange.export.rows import Answer, Capture, Detection, Occurrence, Prediction, Span
from ami.exchange.export.source import Source
from ami.main.pictures import is_elsewhere

NO_PLACE = "A deployment without coordinates is left out, with its captures and observations"
NO_TIMES = "A deployment without a capture that has a time is left out"
NOT_PLACED = "A capture of no deployment, or of one that is left out, is left out"
NO_TIME = "A capture without a time is left out, with its observations"
BAD_PATH = "A capture whose path the format does not allow is left out, with its observations"
NOT_MEDIA = "A capture whose file is not an image, a video or a sound is left out"
NO_NIGHT = "An occurrence without a night is left out"
OCCURRENCE_NOT_PLACED = "An occurrence of no deployment, or of one that is left out, is left out"


def write(source: Source, target: IO[bytes]) -> None:
    with Archive.opened(target) as archive:
        package = _Package(source)
        with archive.table("deployments.csv", camtrap.names(camtrap.DEPLOYMENTS)) as row:
            for values in package.deployments():
                row(_line(camtrap.DEPLOYMENTS, values))
        with archive.table("media.csv", camtrap.names(camtrap.MEDIA)) as row:
            for values in package.media():
                row(_line(camtrap.MEDIA, values))
        with archive.table("observations.csv", camtrap.names(camtrap.OBSERVATIONS)) as row:
            for values in package.observations():
                row(_line(camtrap.OBSERVATIONS, values))
        with archive.table("classifications.csv", camtrap.names(camtrap.CLASSIFICATIONS)) as row:
            for values in package.classifications():
                row(_line(camtrap.CLASSIFICATIONS, values))
        archive.json("datapackage.json", package.description())


def _line(fields: tuple[camtrap.Field, ...], values: dict[str, Any]) -> list[Any]:
    return [_cell(values.get(field.name)) for field in fields]


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class _Package:
    """The rows of the tables, by column, and the description of the package."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._catalogue = source.catalogue
        self._taxa: set[int] = set()
        self._places: dict[int, Span] = {}

    def deployments(self) -> Iterator[dict[str, Any]]:
        for pk, span in self._source.places.items():
            place = self._catalogue.places[pk]
            if not _is_on_earth(place.latitude, place.longitude):
                self._source.problems.add(NO_PLACE, "deployment", [pk])
            elif span.first is None:
                self._source.problems.add(NO_TIMES, "deployment", [pk])
            else:
                self._places[pk] = span
                yield {
                    "deploymentID": pk,
                    "locationID": pk,
                    "locationName": place.name,
                    "latitude": place.latitude,
                    "longitude": place.longitude,
                    "deploymentStart": self._time(span.first, pk),
                    "deploymentEnd": self._time(span.last, pk),
                    "deploymentTags": f"{TIME_ZONE}:{place.time_zone} | "
                    f"{NIGHT_STARTS}:{place.night_starts:%H:%M:%S}",
                    "deploymentComments": place.description,
                }

    def media(self) -> Iterator[dict[str, Any]]:
        for capture in self._source.captures():
            if problem := self._problem_of(capture):
                self._source.problems.add(problem, "capture", [capture.id])
                continue
            path = self._source.url(capture.path)
            yield {
                "mediaID": capture.id,
                "deploymentID": capture.deployment_id,
                "timestamp": self._time(capture.at, capture.deployment_id),
                "filePath": path,
                "filePublic": False,
                "fileName": capture.path.rpartition("/")[2],
                "fileMediatype": _media_type(path),
                "exifData": _size(capture),
            }

    def observations(self) -> Iterator[dict[str, Any]]:
        """The detections and the captures without any, then the occurrences."""
        for capture in self._source.captures():
            if self._problem_of(capture):
                continue
            if not capture.detections:
                yield self._blank(capture)
            elif has_size(capture, self._source.problems):
                for detection in capture.detections:
                    yield from self._seen(capture, detection)
        for one in self._source.occurrences():
            yield from self._occurred(one)

    def classifications(self) -> Iterator[dict[str, Any]]:
        for one in self._source.classifications():
            taxon, run = self._catalogue.taxa[one.taxon_id], self._catalogue.runs[one.job_id]
            algorithm = self._catalogue.algorithms[one.algorithm_id]
            yield {
                "classificationID": one.id,
                "observationID": f"detection-{one.detection_id}",
                "appliedTo": one.applied_to_id,
                "scientificName": taxon.name,
                "taxonRank": taxon.rank.lower(),
                "probability": one.score,
                "terminal": bool(one.terminal),
                "timestamp": self._source.iso(one.at, None),
                "algorithm": algorithm.name,
                "algorithmVersion": algorithm.version,
                "run": one.job_id,
                "method": run.method,
                "options": run.options,
                "taxaList": run.taxa_list,
                "software": self._source.software,
            }

    def description(self) -> dict[str, Any]:
        """Return what datapackage.json says; call this last."""
        now = timezone.now()
        spans = [at for span in self._places.values() for at in (span.first, span.last) if at]
        start, end = min(spans, default=now), max(spans, default=now)
        title = self._source.project or "Project"
        return {
            "resources": [
                *(_resource(name) for name in ("deployments", "media", "observations")),
                _resource("classifications", camtrap.schema(camtrap.CLASSIFICATIONS)),
            ],
            "profile": camtrap.PROFILE,
            "name": slugify(title) or "project",
            "id": str(uuid4()),
            "created": now.isoformat(timespec="seconds"),
            "title": title,
            "contributors": [{"title": title, "role": "publisher"}],
            "sources": [{"title": "AMI", "version": self._source.software}],
            "project": {
                "id": str(self._source.scope.project_id),
                "title": title,
                "samplingDesign": "opportunistic",
                "captureMethod": ["activityDetection", "timeLapse"],
                "individualAnimals": True,
                "observationLevel": ["media", "event"],
            },
            "spatial": {"type": "MultiPoint", "coordinates": list(self._coordinates())},
            "temporal": {"start": f"{start:%Y-%m-%d}", "end": f"{end:%Y-%m-%d}"},
            "taxonomic": [_taxonomic(taxon) for taxon in self._named()],
        }

    def _blank(self, capture: Capture) -> dict[str, Any]:
        return {"observationID": f"capture-{capture.id}", "observationType": "blank"} | (
            self._frame(capture)
        )

    def _frame(self, capture: Capture) -> dict[str, Any]:
        """What the observations of a capture have in common."""
        at = self._time(capture.at, capture.deployment_id)
        return {
            "deploymentID": capture.deployment_id,
            "mediaID": capture.id,
            "eventID": capture.event_id,
            "eventStart": at,
            "eventEnd": at,
            "observationLevel": "media",
        }

    def _seen(self, capture: Capture, detection: Detection) -> Iterator[dict[str, Any]]:
        box = box_of(capture, detection, self._source.problems)
        if box is None:
            return
        names = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
        yield {
            **self._frame(capture),
            "observationID": f"detection-{detection.id}",
            "individualID": detection.occurrence_id,
            **dict(zip(names, box.fractions(capture), strict=True)),
            **self._named_by(detection.answer, detection.prediction, capture.deployment_id),
        }

    def _occurred(self, one: Occurrence) -> Iterator[dict[str, Any]]:
        place, problems = one.deployment_id, self._source.problems
        start, end = self._night(one)
        if place not in self._places:
            problems.add(OCCURRENCE_NOT_PLACED, "occurrence", [one.id])
        elif one.event_id is None or start is None:
            problems.add(NO_NIGHT, "occurrence", [one.id])
        else:
            yield {
                "observationID": f"occurrence-{one.id}",
                "deploymentID": place,
                "eventID": one.event_id,
                "eventStart": self._time(start, place),
                "eventEnd": self._time(end or start, place),
                "observationLevel": "event",
                "count": 1,
                "individualID": one.id,
                **self._named_by(one.answer, one.prediction, place),
            }

    def _night(self, one: Occurrence) -> tuple[datetime | None, datetime | None]:
        night, span = (
            self._catalogue.nights[one.event_id],
            self._source.nights.get(one.event_id or 0),
        )
        if night.start and night.end:
            return night.start, night.end
        return (span.first, span.last) if span else (one.first, one.last)

    def _named_by(
        self, answer: Answer, prediction: Prediction, place: int | None
    ) -> dict[str, Any]:
        """Who named it, and how; the type of an observation depends on the name."""
        if answer.id is not None:
            how: dict[str, Any] = {
                "classificationMethod": "human",
                "classifiedBy": answer.person,
                "classificationTimestamp": self._time(answer.at, place),
                "observationTags": _tags(answer),
            }
            return how | self._name(answer.taxon_id)
        if prediction.id is None:
            return {"observationType": "unclassified"}
        algorithm = self._catalogue.algorithms[prediction.algorithm_id]
        how = {
            "classificationMethod": "machine",
            "classifiedBy": algorithm.title,
            "classificationTimestamp": self._time(prediction.at, place),
            "classificationProbability": prediction.score,
            "observationTags": f"run:{prediction.job_id}" if prediction.job_id else "",
        }
        return how | self._name(prediction.taxon_id)

    def _name(self, taxon_id: int | None) -> dict[str, Any]:
        taxon = self._catalogue.taxa[taxon_id]
        if not taxon.identifiable:
            return {"observationType": "unknown"}
        self._taxa.add(taxon.id)
        return {"observationType": "animal", "scientificName": taxon.name}

    def _problem_of(self, capture: Capture) -> str:
        path = self._source.url(capture.path)
        if capture.deployment_id not in self._places:
            return NOT_PLACED
        if capture.at is None:
            return NO_TIME
        if not path or path[0] in "./~" or ".." in path or len(path.splitlines()) > 1:
            return BAD_PATH
        return "" if _media_type(path).startswith(("image/", "video/", "audio/")) else NOT_MEDIA

    def _time(self, at: datetime | None, place: int | None) -> str:
        return self._source.iso(at, self._catalogue.places[place].time_zone)

    def _coordinates(self) -> Iterator[list[float | None]]:
        for pk in self._places:
            place = self._catalogue.places[pk]
            yield [place.longitude, place.latitude]

    def _named(self) -> list[Taxon]:
        return sorted(map(self._catalogue.taxa.__getitem__, self._taxa), key=lambda one: one.name)


def _is_on_earth(latitude: float | None, longitude: float | None) -> bool:
    if latitude is None or longitude is None:
        return False
    return abs(latitude) <= 90 and abs(longitude) <= 180


def _size(capture: Capture) -> str:
    if not capture.width or not capture.height:
        return ""
    return json.dumps({"ImageWidth": capture.width, "ImageHeight": capture.height})


def _media_type(path: str) -> str:
    name = path
    if is_elsewhere(path):  # in a path, a question mark is one of its characters
        with suppress(ValueError):
            name = urlsplit(path).path
    return guess_type(f"file.{name.rpartition('.')[2]}")[0] or ""


def _tags(answer: Answer) -> str:
    independent, blind = answer.is_independent, bool(answer.blind)
    return f"independent:{independent} | blind:{blind}".lower()


def _resource(name: str, schema: Any = None) -> dict[str, Any]:
    return {
        "name": name,
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": schema or camtrap.TABLE.format(name),
    }


def _taxonomic(taxon: Taxon) -> dict[str, str]:
    rank = taxon.rank.lower()
    return {
        "scientificName": taxon.name,
        **({"taxonID": taxon.gbif_url} if taxon.gbif_url else {}),
        **({"taxonRank": rank} if rank in camtrap.RANKS else {}),
        **{name: taxon.lineage[name] for name in camtrap.RANKS[:6] if name in taxon.lineage},
    }


register(
    Format(
        key="camtrap_dp",
        name="Camtrap DP",
        suffix=".zip",
        media_type="application/zip",
        write=write,
        passes=("captures", "captures", "occurrences", "captures"),
        description="The exchange format for camera traps: deployments, media, observations, and "
        "the lineage of each detection.",
    )
)

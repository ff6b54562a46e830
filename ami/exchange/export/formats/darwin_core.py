"""A Darwin Core Archive: nights, occurrences, pictures and measurements, for GBIF."""

import json
from collections.abc import Iterator
from mimetypes import guess_type
from typing import IO, Any
from uuid import uuid4

from django.utils import timezone

from ami.exchange import darwin_core as dwc
from ami.exchange.base import NIGHT_STARTS, TIME_ZONE
from ami.exchange.export.archive import Archive
from ami.exchange.export.registry import Format, register
from ami.exchange.export.rows import Occurrence, Place, Span
from ami.exchange.export.source import Source

NO_COORDINATES = "The nights of a deployment without coordinates are written without any"
NO_TIMES = "A night without a capture that has a time is left out, with its occurrences"
NO_NIGHT = "An occurrence without a night that is in the file is left out"
NO_NAME = "An occurrence without a name, or with one that names no taxon, is left out"
NO_ADDRESS = "A capture without a web address is left out; use a media URL"
NO_NIGHT_OF_CAPTURE = "A capture without a night that is in the file is left out"


def write(source: Source, target: IO[bytes]) -> None:
    content = _Content(source)
    with Archive.opened(target) as archive:
        for table, rows in (
            (dwc.EVENTS, content.events()),
            (dwc.OCCURRENCES, content.occurrences()),
            (dwc.MULTIMEDIA, content.multimedia()),
            (dwc.MEASUREMENTS, content.measurements()),
        ):
            with archive.lines(table.file, table.columns) as row:
                for values in rows:
                    row(values)
        archive.text("meta.xml", dwc.meta_xml())
        archive.text("eml.xml", content.description())


class _Content:
    """The rows of the files, in the order of their columns. Take the events first."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._catalogue = source.catalogue
        self._nights: dict[int, Span] = {}

    def events(self) -> Iterator[tuple[Any, ...]]:
        bare: set[int] = set()
        self._catalogue.places.learn(
            self._catalogue.nights[pk].deployment_id for pk in self._source.nights
        )
        for pk, span in self._source.nights.items():
            if span.first is None or span.last is None:
                self._source.problems.add(NO_TIMES, "night", [pk])
                continue
            self._nights[pk] = span
            place = self._place(pk)
            if place.id and _coordinates(place) is None and place.id not in bare:
                bare.add(place.id)
                self._source.problems.add(NO_COORDINATES, "deployment", [place.id])
            latitude, longitude = _coordinates(place) or ("", "")
            yield (
                f"night-{pk}",
                f"deployment-{place.id}" if place.id else "",
                "Survey",
                "/".join(self._source.iso(at, place.time_zone) for at in (span.first, span.last)),
                "camera trap",
                span.captures,
                "captures",
                place.id or "",
                place.name,
                place.description,
                latitude,
                longitude,
                "" if latitude == "" else "EPSG:4326",
                _properties(place),
            )

    def occurrences(self) -> Iterator[tuple[Any, ...]]:
        for one in self._source.occurrences():
            if problem := self._problem_of(one):
                self._source.problems.add(problem, "occurrence", [one.id])
                continue
            taxon, answer = self._catalogue.taxa[one.taxon_id], one.answer
            zone = self._zone(one)
            yield (
                f"night-{one.event_id}",
                f"occurrence-{one.id}",
                "MachineObservation",
                "present",
                1,
                self._source.iso(one.first, zone),
                taxon.name,
                taxon.rank.lower(),
                taxon.gbif_url,
                *(taxon.lineage.get(rank, "") for rank in dwc.RANKS),
                answer.person,
                self._source.iso(answer.at, zone),
                "unverified" if answer.id is None else "verified",
                answer.how,
            )

    def multimedia(self) -> Iterator[tuple[Any, ...]]:
        for capture in self._source.captures():
            address = self._source.url(capture.path)
            if capture.event_id not in self._nights:
                self._source.problems.add(NO_NIGHT_OF_CAPTURE, "capture", [capture.id])
            elif not address.startswith(("http://", "https://")):
                self._source.problems.add(NO_ADDRESS, "capture", [capture.id])
            else:
                zone = self._catalogue.places[capture.deployment_id].time_zone
                yield (
                    f"night-{capture.event_id}",
                    "StillImage",
                    guess_type(f"file.{address.rpartition('.')[2]}")[0] or "",
                    address,
                    f"Capture {capture.id}",
                    self._source.iso(capture.at, zone),
                )

    def measurements(self) -> Iterator[tuple[Any, ...]]:
        for one in self._source.occurrences():
            if not self._problem_of(one):
                for kind, value, *rest in self._facts(one):
                    yield (f"night-{one.event_id}", f"occurrence-{one.id}", kind, value, *rest)

    def description(self) -> str:
        return dwc.eml_xml(
            package_id=str(uuid4()),
            title=self._source.project or "Project",
            software=self._source.software,
            day=f"{timezone.now():%Y-%m-%d}",
            coverage=self._coverage(),
        )

    def _facts(self, one: Occurrence) -> Iterator[tuple[Any, ...]]:
        """Type, value, unit, method, by whom, when, and remarks of each measurement."""
        yield "number of detections", one.detections, "detections", "", "", "", ""
        best, zone = one.prediction, self._zone(one)
        if best.id is not None:
            by = self._catalogue.algorithms[best.algorithm_id].title
            run = self._catalogue.runs[best.job_id]
            named = self._catalogue.taxa[best.taxon_id].name
            told = {
                "run": best.job_id,
                "options": run.options,
                "taxa list": run.taxa_list,
                "software": self._source.software,
            }
            remarks = "; ".join(f"{key}: {value}" for key, value in told.items() if value)
            at = self._source.iso(best.at, zone)
            yield "name that a machine gives", named, "", run.method, by, at, remarks
            yield "score of this name", best.score, "", run.method, by, at, remarks
        if one.answer.id is not None:
            answer, at = one.answer, self._source.iso(one.answer.at, zone)
            independent = str(answer.is_independent).lower()
            yield "independent identification", independent, "", answer.how, answer.person, at, ""

    def _problem_of(self, one: Occurrence) -> str:
        if one.event_id not in self._nights:
            return NO_NIGHT
        taxon = self._catalogue.taxa[one.taxon_id]
        return "" if taxon.id and taxon.identifiable else NO_NAME

    def _place(self, night_id: int) -> Place:
        return self._catalogue.places[self._catalogue.nights[night_id].deployment_id]

    def _zone(self, one: Occurrence) -> str:
        return self._catalogue.places[one.deployment_id].time_zone

    def _coverage(self) -> dwc.Coverage | None:
        if not self._nights:
            return None
        found = [pair for pk in self._nights if (pair := _coordinates(self._place(pk)))]
        north, east = (max(side) for side in zip(*found, strict=True)) if found else (0, 0)
        south, west = (min(side) for side in zip(*found, strict=True)) if found else (0, 0)
        times = [at for span in self._nights.values() for at in (span.first, span.last) if at]
        return dwc.Coverage(
            (west, east, north, south) if found else None,
            f"{min(times):%Y-%m-%d}",
            f"{max(times):%Y-%m-%d}",
        )


def _properties(place: Place) -> str:
    if not place.id:
        return ""
    told = {TIME_ZONE: place.time_zone, NIGHT_STARTS: f"{place.night_starts:%H:%M:%S}"}
    return json.dumps(told)


def _coordinates(place: Place) -> tuple[float, float] | None:
    """Latitude and longitude, if both are known and valid."""
    latitude, longitude = place.latitude, place.longitude
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return latitude, longitude


register(
    Format(
        key="darwin_core",
        name="Darwin Core Archive",
        suffix=".zip",
        media_type="application/zip",
        write=write,
        passes=("occurrences", "captures", "occurrences"),
        description="Nights, occurrences, pictures and measurements, for GBIF.",
    )
)

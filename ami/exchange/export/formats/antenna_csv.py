"""The CSV export of Antenna: the same columns, in the same order."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import IO, Any

from django.utils.duration import duration_string

from ami.base.spreadsheets import protected
from ami.exchange.export.formats.plain_csv import write_csv
from ami.exchange.export.registry import Format, register
from ami.exchange.export.rows import Occurrence
from ami.exchange.export.source import TIMES, Source

COLUMNS = (
    "id",
    "event_id",
    "event_name",
    "deployment_id",
    "deployment_name",
    "project_id",
    "project_name",
    "determination_id",
    "determination_name",
    "determination_score",
    "verification_status",
    "best_machine_prediction_name",
    "best_machine_prediction_algorithm",
    "best_machine_prediction_score",
    "verified_by",
    "participant_count",
    "agreed_with_algorithm",
    "agreed_with_user",
    "determination_matches_machine_prediction",
    "detections_count",
    "first_appearance_timestamp",
    "last_appearance_timestamp",
    "duration",
    "best_detection_url",
    "best_detection_bbox",
    "best_detection_width",
    "best_detection_height",
    "best_detection_capture_url",
)


def write(source: Source, target: IO[bytes]) -> None:
    write_csv(target, [COLUMNS], map(_cells(source), source.occurrences()))


def _cells(source: Source) -> Callable[[Occurrence], tuple[Any, ...]]:
    catalogue, local, url = source.catalogue, source.local, source.url
    project = (source.scope.project_id, _text(source.project))
    duration = lru_cache(duration_string)

    @lru_cache(TIMES)
    def naive(at: datetime | None, zone: str) -> str:
        """Return the deployment's local time without a zone, as Antenna stores it."""
        here = local(at, zone)
        return "" if here is None else here.replace(tzinfo=None).isoformat()

    def of(one: Occurrence) -> tuple[Any, ...]:
        answer, best, shown = one.answer, one.prediction, one.best
        box, place = shown.box, catalogue.places[one.deployment_id]
        zone = place.time_zone
        first, last = local(one.first, zone), local(one.last, zone)
        return (
            one.id,
            one.event_id,
            _text(catalogue.nights[one.event_id].name),
            one.deployment_id,
            _text(place.name),
            *project,
            one.taxon_id,
            _text(catalogue.taxa[one.taxon_id].name),
            one.score,
            "Verified" if answer.id else "Not verified",
            _text(catalogue.taxa[best.taxon_id].name),
            _text(catalogue.algorithms[best.algorithm_id].name),
            best.score,
            _text(answer.person),
            one.people,
            _text(answer.agreed_with_algorithm),
            _text(answer.agreed_with_person),
            "" if best.id is None else one.taxon_id == best.taxon_id,
            one.detections,
            naive(one.first, zone),
            naive(one.last, zone),
            "" if first is None or last is None else duration(last - first),
            _text(url(shown.crop)),
            "" if box is None else str(box),
            "" if box is None else box[2] - box[0],
            "" if box is None else box[3] - box[1],
            _text(url(shown.capture)),
        )

    return of


def _text(value: str | None) -> str:
    return protected(value or "")


register(
    Format(
        key="antenna_csv",
        name="Antenna's CSV",
        suffix=".csv",
        media_type="text/csv; charset=utf-8",
        write=write,
        passes=("occurrences",),
        description="The columns of Antenna's CSV export, for scripts that read it.",
    )
)

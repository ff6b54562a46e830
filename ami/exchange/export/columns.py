"""The columns of tables with one row per occurrence: for plain CSV and Parquet."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from ami.exchange.export.rows import Occurrence
from ami.exchange.export.source import Source

RANKS = ("order", "family", "genus")


class Column(NamedTuple):
    """A column: its name, the type of its values, and what it says."""

    name: str
    type: type
    description: str


COLUMNS = (
    Column("occurrence_id", int, "the id of the occurrence"),
    Column("project", str, "the name of the project"),
    Column("deployment", str, "the name of the deployment"),
    Column("latitude", float, "degrees north"),
    Column("longitude", float, "degrees east"),
    Column("time_zone", str, "the time zone of the deployment"),
    Column("night", str, "the date of the evening"),
    Column("first_seen", datetime, "the time of its first capture"),
    Column("last_seen", datetime, "the time of its last capture"),
    Column("detections", int, "the number of its detections"),
    Column("taxon", str, "the name that the occurrence has"),
    Column("rank", str, "the rank of this name, in lower case"),
    Column("order", str, "the order of the taxon"),
    Column("family", str, "the family of the taxon"),
    Column("genus", str, "the genus of the taxon"),
    Column("gbif_taxon_key", int, "the key of the taxon in GBIF"),
    Column("score", float, "the score of the name; 1 if a person gave it"),
    Column("determined_by", str, "`human`, `machine`, or empty if there is no name"),
    Column("identified_by", str, "the person whose name counts"),
    Column("identified_at", datetime, "when this person answered"),
    Column("how_identified", str, "whether the person named the taxon, or agreed with a name"),
    Column(
        "independent",
        bool,
        "false if the person agreed with one click, or saw the name in the review of a sample",
    ),
    Column("people", int, "how many people identified the occurrence"),
    Column("prediction", str, "the name that classifiers give"),
    Column("prediction_score", float, "the score of this name"),
    Column("predicted_at", datetime, "when it was predicted"),
    Column("algorithm", str, "the classifier or method that gave it"),
    Column("algorithm_version", int, "its version"),
    Column("method", str, "the post-processing method of the run, if one wrote it"),
    Column("options", str, "the options of the run, as JSON"),
    Column("run", int, "the id of the Job that wrote it"),
    Column("taxa_list", str, "the taxa list that the run consulted"),
    Column("software", str, "the version of the software that wrote the file"),
    Column("crop", str, "the path of the best crop"),
    Column("capture", str, "the path of its capture"),
    Column("box_x1", float, "the left edge of its box, in pixels"),
    Column("box_y1", float, "the upper edge"),
    Column("box_x2", float, "the right edge"),
    Column("box_y2", float, "the lower edge"),
)
NAMES = tuple(column.name for column in COLUMNS)


def cells(
    source: Source, time: Callable[[datetime | None, str], Any]
) -> Callable[[Occurrence], tuple[Any, ...]]:
    """Return what makes the values of :data:`COLUMNS`, with `time` for those of times in a zone."""
    catalogue, project, software = source.catalogue, source.project, source.software

    def of(one: Occurrence) -> tuple[Any, ...]:
        answer, best, shown = one.answer, one.prediction, one.best
        place, run = catalogue.places[one.deployment_id], catalogue.runs[best.job_id]
        taxon, algorithm = catalogue.taxa[one.taxon_id], catalogue.algorithms[best.algorithm_id]
        zone, lineage = place.time_zone, taxon.lineage
        return (
            one.id,
            project,
            place.name,
            place.latitude,
            place.longitude,
            zone,
            catalogue.nights[one.event_id].name,
            time(one.first, zone),
            time(one.last, zone),
            one.detections,
            taxon.name,
            taxon.rank.lower(),
            *(lineage.get(rank, "") for rank in RANKS),
            taxon.gbif_key,
            one.score,
            determined_by(one),
            answer.person,
            time(answer.at, zone),
            answer.how,
            answer.is_independent,
            one.people,
            catalogue.taxa[best.taxon_id].name,
            best.score,
            time(best.at, zone),
            algorithm.name,
            algorithm.version,
            run.method,
            run.options,
            best.job_id,
            run.taxa_list,
            software,
            source.url(shown.crop),
            source.url(shown.capture),
            *(shown.box or (None, None, None, None)),
        )

    return of


def determined_by(one: Occurrence) -> str:
    """Who gave the occurrence its name: "human", "machine", or "" without a name."""
    if one.taxon_id is None:
        return ""
    return "machine" if one.answer.id is None else "human"

"""The files of a Darwin Core Archive: their columns, and the documents that describe them."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

DWC = "http://rs.tdwg.org/dwc/terms/"
DC = "http://purl.org/dc/terms/"
IDENTIFIER = f"{DC}identifier"
# What XML 1.0 does not allow in a text.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Table(NamedTuple):
    """A file: its name, what its rows are, and the terms of its columns after the first.

    The first column has the id of the event.
    """

    file: str
    row_type: str
    terms: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        return ["eventID", *(term.rpartition("/")[2] for term in self.terms)]


def _dwc(*names: str) -> tuple[str, ...]:
    return tuple(f"{DWC}{name}" for name in names)


EVENTS = Table(
    "event.txt",
    f"{DWC}Event",
    _dwc(
        "parentEventID",
        "eventType",
        "eventDate",
        "samplingProtocol",
        "sampleSizeValue",
        "sampleSizeUnit",
        "locationID",
        "locality",
        "locationRemarks",
        "decimalLatitude",
        "decimalLongitude",
        "geodeticDatum",
        "dynamicProperties",
    ),
)
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
OCCURRENCES = Table(
    "occurrence.txt",
    f"{DWC}Occurrence",
    _dwc(
        "occurrenceID",
        "basisOfRecord",
        "occurrenceStatus",
        "individualCount",
        "eventDate",
        "scientificName",
        "taxonRank",
        "taxonID",
        *RANKS,
        "identifiedBy",
        "dateIdentified",
        "identificationVerificationStatus",
        "identificationRemarks",
    ),
)
MULTIMEDIA = Table(
    "multimedia.txt",
    "http://rs.gbif.org/terms/1.0/Multimedia",
    tuple(f"{DC}{name}" for name in ("type", "format", "identifier", "title", "created")),
)
MEASUREMENTS = Table(
    "measurementorfact.txt",
    "http://rs.iobis.org/obis/terms/ExtendedMeasurementOrFact",
    _dwc(
        "occurrenceID",
        "measurementType",
        "measurementValue",
        "measurementUnit",
        "measurementMethod",
        "measurementDeterminedBy",
        "measurementDeterminedDate",
        "measurementRemarks",
    ),
)
TABLES = (EVENTS, OCCURRENCES, MULTIMEDIA, MEASUREMENTS)


def meta_xml() -> str:
    """Return the description of the files."""
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="eml.xml">',
            *_file("core", "id", EVENTS),
            *(line for one in TABLES[1:] for line in _file("extension", "coreid", one)),
            "</archive>\n",
        ]
    )


def _file(tag: str, key: str, table: Table) -> Iterator[str]:
    yield (
        f'  <{tag} rowType="{table.row_type}" encoding="UTF-8" fieldsTerminatedBy="\\t" '
        'linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1">'
    )
    yield f"    <files><location>{table.file}</location></files>"
    yield f'    <{key} index="0"/>'
    if tag == "core":
        yield f'    <field index="0" term="{DWC}eventID"/>'
    for index, term in enumerate(table.terms, start=1):
        yield f'    <field index="{index}" term="{term}"/>'
    yield f"  </{tag}>"


class Coverage(NamedTuple):
    """The box of all coordinates in degrees (west, east, north, south), and the dates as text."""

    box: tuple[float, float, float, float] | None
    begin: str
    end: str


def eml_xml(
    *, package_id: str, title: str, software: str, day: str, coverage: Coverage | None
) -> str:
    """Return the description of the dataset."""
    name = escape(xml_text(title))
    party = f"<organizationName>{name}</organizationName>"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<eml:eml xmlns:eml="eml://ecoinformatics.org/eml-2.1.1" xml:lang="en" system='
            f'"http://gbif.org" scope="system" packageId={quoteattr(package_id)}>',
            "<dataset>",
            f"<title>{name}</title>",
            f"<creator>{party}</creator>",
            f"<metadataProvider>{party}</metadataProvider>",
            f"<pubDate>{day}</pubDate>",
            "<language>en</language>",
            "<abstract><para>Insects that camera traps photographed at night, detected and "
            f"classified by machines and identified by people. Written by {software}.</para>"
            "</abstract>",
            *(_coverage(coverage) if coverage else ()),
            f"<contact>{party}</contact>",
            "</dataset>",
            "</eml:eml>\n",
        ]
    )


def _coverage(coverage: Coverage) -> Iterable[str]:
    yield "<coverage>"
    if coverage.box:
        yield "<geographicCoverage><geographicDescription>The deployments.</geographicDescription>"
        names = ("west", "east", "north", "south")
        sides = (
            f"<{name}BoundingCoordinate>{value}</{name}BoundingCoordinate>"
            for name, value in zip(names, coverage.box, strict=True)
        )
        yield f"<boundingCoordinates>{''.join(sides)}</boundingCoordinates></geographicCoverage>"
    days = (
        f"<{name}Date><calendarDate>{day}</calendarDate></{name}Date>"
        for name, day in (("begin", coverage.begin), ("end", coverage.end))
    )
    yield f"<temporalCoverage><rangeOfDates>{''.join(days)}</rangeOfDates></temporalCoverage>"
    yield "</coverage>"


def xml_text(text: str) -> str:
    """Return the text without what XML does not allow."""
    return NOT_XML.sub(" ", text)

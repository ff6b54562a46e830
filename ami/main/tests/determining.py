"""An occurrence with its predictions and identifications, and its determination."""

from typing import Any

from ami.base.tests.factories import NIGHT, make_classification, make_detection, make_taxon
from ami.main.determinations import update_determinations
from ami.main.models import Classification, Identification, Occurrence, Taxon, TaxonRank


def classify(occurrence: Occurrence, taxon: Taxon | None, **fields: Any) -> Classification:
    """Create a classification of a new detection of the occurrence."""
    row = make_classification(
        detection=make_detection(occurrence=occurrence), **{"timestamp": NIGHT} | fields
    )
    if taxon != row.taxon:
        Classification.objects.filter(pk=row.pk).update(taxon=taxon)
    return row


def identify(occurrence: Occurrence, taxon: Taxon | None, **fields: Any) -> Identification:
    """Create an identification without updating the determination of the occurrence."""
    row = Identification(occurrence=occurrence, taxon=taxon, **fields)
    return Identification.objects.bulk_create([row])[0]


def decide(occurrence: Occurrence) -> tuple[Taxon | None, float | None]:
    update_determinations([occurrence.pk])
    occurrence.refresh_from_db()
    return occurrence.determination, occurrence.determination_score


def not_identifiable() -> Taxon:
    return make_taxon(name="Not identifiable", rank=TaxonRank.UNKNOWN, identifiable=False)

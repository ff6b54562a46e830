"""Samples for tests of their review."""

from typing import Any

from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.main.models import Occurrence, Project, Taxon
from ami.review.models import Sample, SampleItem


def make_sample(project: Project | None = None, *, items: int = 3, **fields: Any) -> Sample:
    """Create a sample of new occurrences, each with two detections and a name of its own genus.

    `doubles` are the positions that two people read.
    """
    doubles = fields.pop("doubles", ())
    trap = make_deployment(project=project or make_project())
    captures = [make_capture(deployment=trap) for _ in range(2)]
    sample = Sample.objects.create(
        **{
            "name": "Moths of June",
            "project": trap.project,
            "source": Sample.Source.PROJECT,
            "seed": 1,
            "population": items,
        }
        | fields
    )
    for position in range(1, items + 1):
        occurrence = make_occurrence(deployment=trap)
        taxon = make_species(f"Genus{sample.pk}x{position} judged")
        for capture in captures:
            detection = make_detection(source_image=capture, occurrence=occurrence)
            make_classification(detection=detection, taxon=taxon)
        occurrence.save()
        sample.items.create(
            position=position, occurrence=occurrence, taxon=taxon, is_double=position in doubles
        )
    return sample


def make_species(name: str) -> Taxon:
    """Create a species and its genus."""
    genus, _ = Taxon.objects.get_or_create(name=name.partition(" ")[0], defaults={"rank": "GENUS"})
    return make_taxon(name=name, parent=genus)


def sample_of(occurrence: Occurrence, **fields: Any) -> SampleItem:
    """Create a sample of one occurrence, and return its item."""
    sample = Sample.objects.create(
        **{
            "name": "One moth",
            "project": occurrence.project or make_project(),
            "source": Sample.Source.PROJECT,
            "seed": 1,
            "population": 1,
        }
        | fields
    )
    return sample.items.create(
        position=1, occurrence=occurrence, taxon_id=occurrence.determination_id
    )

"""Identified occurrences whose names a run changes as planned."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.utils import timezone

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_capture_set,
    make_deployment,
    make_project,
    make_user,
)
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job, JobState
from ami.main.models import (
    Classification,
    Detection,
    Event,
    Identification,
    Occurrence,
    SourceImageCollection,
    Taxon,
    TaxonRank,
)


class Tree(NamedTuple):
    """A family of two genera, and what stands for no species."""

    family: Taxon
    genus: Taxon
    species: Taxon
    sister: Taxon
    other_genus: Taxon
    other: Taxon
    nothing: Taxon


def make_tree() -> Tree:
    def taxon(name: str, rank: TaxonRank, parent: Taxon | None = None) -> Taxon:
        return Taxon.objects.create(name=name, rank=rank, parent=parent)

    family = taxon("Erebidae", TaxonRank.FAMILY)
    genus, other = (taxon(name, TaxonRank.GENUS, family) for name in ("Zale", "Catocala"))
    return Tree(
        family,
        genus,
        taxon("Zale lunata", TaxonRank.SPECIES, genus),
        taxon("Zale minerea", TaxonRank.SPECIES, genus),
        other,
        taxon("Catocala ilia", TaxonRank.SPECIES, other),
        Taxon.objects.create(name="Nothing", rank=TaxonRank.UNKNOWN, identifiable=False),
    )


class Plan(NamedTuple):
    """Occurrences of one kind: how many, their names before and after, and what people say."""

    number: int
    before: Taxon | None
    after: Taxon | None
    truth: Taxon
    agreed: bool = False


def plant(plans: list[Plan], *, score: float = 0.5) -> SourceImageCollection:
    """Make the occurrences as they are before the run, spread over ten nights."""
    trap = make_deployment(project=make_project())
    events = [
        Event.objects.create(
            deployment=trap, project=trap.project, group_by=f"{NIGHT + timedelta(days=d):%Y-%m-%d}"
        )
        for d in range(10)
    ]
    captures = [
        make_capture(deployment=trap, event=event, timestamp=NIGHT + timedelta(days=day))
        for day, event in enumerate(events)
    ]
    kinds = [plan for plan in plans for _ in range(plan.number)]
    occurrences = Occurrence.objects.bulk_create(
        Occurrence(deployment=trap, project=trap.project, event=events[place % 10])
        for place in range(len(kinds))
    )
    detections = Detection.objects.bulk_create(
        Detection(
            source_image=captures[place % 10],
            occurrence=occurrence,
            timestamp=captures[place % 10].timestamp,
            bbox=[0, 0, 10, 10],
        )
        for place, occurrence in enumerate(occurrences)
    )
    rows = Classification.objects.bulk_create(
        Classification(detection=detection, taxon=plan.before, score=score, terminal=True)
        for detection, plan in zip(detections, kinds, strict=True)
    )
    person = make_user()
    Identification.objects.bulk_create(
        Identification(
            occurrence=occurrence,
            taxon=plan.truth,
            user=person,
            agreed_with_prediction=row if plan.agreed else None,
        )
        for occurrence, plan, row in zip(occurrences, kinds, rows, strict=True)
    )
    return make_capture_set(captures)


def make_run(capture_set: SourceImageCollection, **fields: Any) -> Job:
    """The row of a run on a capture set that has ended."""
    now = timezone.now()
    return Job.objects.create(
        **{
            "name": "Planted run",
            "project": capture_set.project,
            "job_type_key": "post_processing",
            "params": {"config": {"source_image_collection_id": capture_set.pk}},
            "status": JobState.SUCCESS,
            "started_at": now,
            "finished_at": now,
        }
        | fields
    )


def rename(job: Job, names: Mapping[int, Taxon | None]) -> None:
    """Supersede the terminal classification of these occurrences, as a method does."""
    with journaled(job):
        current = Classification.objects.filter(detection__occurrence__in=names, terminal=True)
        rows = list(current.select_related("detection"))
        Classification.objects.filter(pk__in=[row.pk for row in rows]).update(terminal=False)
        Classification.objects.bulk_create(
            Classification(
                detection=row.detection,
                taxon=names[row.detection.occurrence_id or 0],
                score=0.9,
                terminal=True,
                applied_to=row,
                job=job,
            )
            for row in rows
        )


def apply(job: Job, plans: list[Plan]) -> None:
    """Let the run give all occurrences the names of the plan."""
    kinds = [plan.after for plan in plans for _ in range(plan.number)]
    ids = Occurrence.objects.order_by("pk").values_list("pk", flat=True)
    rename(job, dict(zip(ids, kinds, strict=True)))


def make_sizes(tree: Tree, number: int = 60) -> SourceImageCollection:
    """Names of small boxes are wrong; the area of the box grows with the occurrence."""
    plans = [
        Plan(number // 3, tree.other, None, tree.species),
        Plan(number - number // 3, tree.species, None, tree.species),
    ]
    capture_set = plant(plans)
    for place, detection in enumerate(Detection.objects.order_by("pk")):
        side = 10 + place * 100 // number
        detection.bbox = [0, 0, side, side]
        detection.save()
    return capture_set

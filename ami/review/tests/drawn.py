"""Rows from which tests draw samples."""

from collections.abc import Sequence
from typing import Any

from ami.base.tests.factories import make_deployment, make_occurrence
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job, JobState
from ami.jobs.tests.job_types import make_job
from ami.main.models import Occurrence, Project, Taxon
from ami.review.drawing import Design, draw
from ami.review.models import Sample
from ami.review.populations import find_origin
from ami.users.models import User


def make_occurrences(
    project: Project, number: int, *, taxon: Taxon, score: float | None = 0.9, **fields: Any
) -> list[Occurrence]:
    """Create occurrences with a determination that nothing supports, in a trap of their own."""
    fields.setdefault("deployment", make_deployment(project=project))
    rows = [make_occurrence(**fields) for _ in range(number)]
    ids = [row.pk for row in rows]
    Occurrence.objects.filter(pk__in=ids).update(determination=taxon, determination_score=score)
    return rows


def changed_by_job(
    rows: Sequence[Occurrence], taxon: Taxon, *, score: float = 0.8, **fields: Any
) -> Job:
    """A Job that has ended, whose journal says that it gave these occurrences another name."""
    job = make_job(status=JobState.SUCCESS, project=rows[0].project, **fields)
    with journaled(job):
        Occurrence.objects.filter(pk__in=[row.pk for row in rows]).update(
            determination=taxon, determination_score=score
        )
    return job


def draw_from(
    source: str,
    source_id: int | None = None,
    *,
    query: str = "",
    project: Project | None = None,
    user: User | None = None,
    **design: Any,
) -> Sample:
    """Draw 10 occurrences with the seed 1, unless the design says otherwise."""
    origin = find_origin(
        source,
        source_id=source_id,
        query=query,
        project_id=project.pk if project else None,
        user=user,
    )
    given: dict[str, Any] = {"name": "A sample", "size": 10, "seed": 1} | design
    return draw(origin, Design(**given))


def occurrences_of(sample: Sample) -> list[int]:
    """The ids of its occurrences, in their random order."""
    return list(sample.items.order_by("position").values_list("occurrence_id", flat=True))

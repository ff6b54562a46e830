"""Millions of realistic synthetic rows."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models, transaction

from ami.jobs.models import Job, JobState
from ami.main.counts import refresh_counts
from ami.main.determinations import update_determinations
from ami.main.management import scale_sql
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
    TaxonRank,
)
from ami.ml.models import Algorithm, AlgorithmCategoryMap, AlgorithmTaskType
from ami.users.models import User

SPECIES = 100
ROWS_AT_ONCE = 50_000

NUMBERED: dict[str, type[models.Model]] = {
    "project": Project,
    "deployment": Deployment,
    "night": Event,
    "capture": SourceImage,
    "occurrence": Occurrence,
    "detection": Detection,
    "job": Job,
    "classification": Classification,
    "identification": Identification,
    "capture_set": SourceImageCollection,
}


@dataclass(frozen=True)
class Sizes:
    """The numbers of rows to write.

    A night has 100 captures, a deployment 20 nights, and a project 5 deployments. `taxa` are only
    for searches; the rows have other species. Raises ValueError for numbers that do not fit
    together.
    """

    captures: int = 1_000_000
    occurrences: int = 1_300_000
    detections: int = 1_400_000
    classifications: int = 2_200_000
    identifications: int = 65_000
    taxa: int = 30_000

    def __post_init__(self) -> None:
        self._require("captures", 1)
        self._require("occurrences", 1)
        self._require("detections", self.occurrences)
        self._require("classifications", self.detections, 2 * self.detections)
        self._require("identifications", 0, self.occurrences)
        self._require("taxa", 0)

    def _require(self, name: str, low: int, high: int | None = None) -> None:
        value = getattr(self, name)
        if value < low:
            raise ValueError(f"{name} must be at least {low}, got {value}.")
        if high is not None and value > high:
            raise ValueError(f"{name} must be at most {high}, got {value}.")

    def scaled(self, factor: float) -> "Sizes":
        return Sizes(**{name: round(size * factor) for name, size in asdict(self).items()})

    @property
    def nights(self) -> int:
        return -(-self.captures // 100)

    @property
    def deployments(self) -> int:
        return -(-self.nights // 20)

    @property
    def projects(self) -> int:
        return -(-self.deployments // 5)


@transaction.atomic
def seed(sizes: Sizes, *, report: Callable[[str], None]) -> None:
    """Add rows of these sizes in one transaction; `report` is called with a line for each step."""
    params = _params(sizes)
    for name, step in _steps(sizes, params).items():
        start = perf_counter()
        rows = step()
        report(f"{name:28}{rows:>10,}{perf_counter() - start:8.1f} s")
    refresh_counts()


def _params(sizes: Sizes) -> dict[str, Any]:
    """Sizes, first ids, and the ids of the few rows to which all others refer."""
    first_ids = {
        name: (model._default_manager.aggregate(last=models.Max("pk"))["last"] or 0) + 1
        for name, model in NUMBERED.items()
    }
    further = sizes.detections - sizes.occurrences
    return {
        **asdict(sizes),
        **first_ids,
        **_references(),
        "nights": sizes.nights,
        "deployments": sizes.deployments,
        "projects": sizes.projects,
        "superseding": sizes.classifications - sizes.detections,
        "tracks": max(1, -(-further // 100)) * 10,
    }


def _references() -> dict[str, Any]:
    names = [f"Seeded species {number}" for number in range(1, SPECIES + 1)]
    Taxon.objects.bulk_create(
        [Taxon(name=name, rank=TaxonRank.SPECIES) for name in names], ignore_conflicts=True
    )
    category_map = AlgorithmCategoryMap.objects.create(
        data=[{"index": index, "label": name} for index, name in enumerate(names)]
    )
    user, _ = User.objects.get_or_create(email="seed@example.org")
    return {
        "species": list(Taxon.objects.filter(name__in=names).values_list("pk", flat=True)),
        "category_map": category_map.pk,
        "detector": _algorithm("Seeded detector", AlgorithmTaskType.DETECTION),
        "classifier": _algorithm("Seeded classifier", AlgorithmTaskType.CLASSIFICATION),
        "masking": _algorithm("Seeded masking", AlgorithmTaskType.POST_PROCESSING),
        "user": user.pk,
    }


def _algorithm(name: str, task_type: AlgorithmTaskType) -> int:
    algorithm, _ = Algorithm.objects.get_or_create(name=name, defaults={"task_type": task_type})
    return algorithm.pk


def _steps(sizes: Sizes, params: dict[str, Any]) -> dict[str, Callable[[], int]]:
    """Return the steps in order; each returns the number of rows that it processed."""

    def insert(statement: str) -> Callable[[], int]:
        return partial(_execute, statement, params)

    first = params["occurrence"]
    return {
        "taxa": insert(scale_sql.TAXA),
        "projects": insert(scale_sql.PROJECTS),
        "deployments": insert(scale_sql.DEPLOYMENTS),
        "jobs": partial(_create_jobs, params),
        "nights": insert(scale_sql.NIGHTS),
        "captures": insert(scale_sql.CAPTURES),
        "occurrences": insert(scale_sql.OCCURRENCES),
        "detections": insert(scale_sql.DETECTIONS),
        "first classifications": insert(scale_sql.FIRST_CLASSIFICATIONS),
        "superseding classifications": insert(scale_sql.SUPERSEDING_CLASSIFICATIONS),
        "identifications": insert(scale_sql.IDENTIFICATIONS),
        "capture sets": insert(scale_sql.CAPTURE_SETS),
        "captures of capture sets": insert(scale_sql.CAPTURE_SET_IMAGES),
        "sequences and statistics": _reset_sequences_and_analyze,
        "determinations": partial(_determine, range(first, first + sizes.occurrences)),
    }


def _execute(statement: str, params: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(statement, params)
        return int(cursor.rowcount)


def _create_jobs(params: dict[str, Any]) -> int:
    """Create one past run per deployment."""
    jobs = [
        Job(
            pk=params["job"] + number,
            name=f"Seeded run {number + 1}",
            project_id=params["project"] + number // 5,
            job_type_key="post_processing",
            status=JobState.SUCCESS,
        )
        for number in range(params["deployments"])
    ]
    return len(Job.objects.bulk_create(jobs))


def _reset_sequences_and_analyze() -> int:
    statements = connection.ops.sequence_reset_sql(no_style(), [*NUMBERED.values()])
    with connection.cursor() as cursor:
        for statement in [*statements, "ANALYZE"]:
            cursor.execute(statement)
    return len(statements)


def _determine(ids: range) -> int:
    for start in range(0, len(ids), ROWS_AT_ONCE):
        update_determinations(ids[start : start + ROWS_AT_ONCE])
    return len(ids)

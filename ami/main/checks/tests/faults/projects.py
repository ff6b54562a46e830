from collections.abc import Iterator
from contextlib import contextmanager

from ami.jobs.models import Job
from ami.main.checks.tests.world import Rows, World, execute, fault
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
)


@contextmanager
def without_triggers() -> Iterator[None]:
    execute("SET session_replication_role = replica")
    try:
        yield
    finally:
        execute("SET session_replication_role = DEFAULT")


def lost_from(table: str, pk: int) -> None:
    execute(f"UPDATE {table} SET project_id = NULL WHERE id = %s", pk)


@fault("stale_project")
def detection_of_another_project(world: World) -> Rows:
    """Its classifications have the right project."""
    pk = world.detections[0].pk
    other = Project.objects.create(name="Other").pk
    with without_triggers():
        execute("UPDATE main_detection SET project_id = %s WHERE id = %s", other, pk)
    return {(Detection, pk)}


@fault("stale_project")
def classification_of_no_project(world: World) -> Rows:
    with without_triggers():
        lost_from("main_classification", world.raw.pk)
    return {(Classification, world.raw.pk)}


@fault("stale_project")
def identification_of_no_project(world: World) -> Rows:
    pk = Identification.objects.create(occurrence=world.occurrence).pk
    with without_triggers():
        lost_from("main_identification", pk)
    return {(Identification, pk)}


@fault("without_project")
def capture_of_no_project(world: World) -> Rows:
    pk = world.captures[0].pk
    lost_from("main_sourceimage", pk)
    return {
        (SourceImage, pk),
        (Detection, world.detections[0].pk),
        (Classification, world.raw.pk),
        (Classification, world.masked.pk),
    }


@fault("without_project")
def night_of_no_project(world: World) -> Rows:
    lost_from("main_event", world.event.pk)
    return {(Event, world.event.pk)}


@fault("without_project")
def deployment_of_no_project(world: World) -> Rows:
    lost_from("main_deployment", world.deployment.pk)
    return {(Deployment, world.deployment.pk)}


@fault("without_project")
def occurrence_of_no_project(world: World) -> Rows:
    lost_from("main_occurrence", world.occurrence.pk)
    return {(Occurrence, world.occurrence.pk)}


@fault("without_project")
def run_of_no_project(world: World) -> Rows:
    """A repair without a project is not a fault."""
    Job.objects.create(name="Repair", params={"checks": ["stale_counts"]})
    Job.objects.filter(pk=world.job.pk).update(project=None, params={"task": "rank_rollup"})
    return {(Job, world.job.pk)}

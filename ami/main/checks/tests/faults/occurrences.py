from ami.main.checks.tests.world import Rows, World, execute, fault
from ami.main.models import Detection, Occurrence


def rows(*ids: int) -> Rows:
    return {(Occurrence, pk) for pk in ids}


@fault("occurrence_without_detections")
def left_empty(world: World) -> Rows:
    ids = execute(
        "INSERT INTO main_occurrence (created_at, updated_at, project_id, deployment_id) "
        "VALUES (now(), now(), %s, %s) RETURNING id",
        world.project.pk,
        world.deployment.pk,
    )
    return rows(*ids)


@fault("detection_without_occurrence")
def classified_alone(world: World) -> Rows:
    """A detection without classifications may have no occurrence."""
    capture = world.captures[0].pk
    pk, _ = execute(
        "INSERT INTO main_detection (created_at, updated_at, source_image_id, path) "
        "VALUES (now(), now(), %s, ''), (now(), now(), %s, '') RETURNING id",
        capture,
        capture,
    )
    execute(
        "INSERT INTO main_classification (created_at, updated_at, timestamp, detection_id, "
        "taxon_id, score, terminal, metadata, job_id) "
        "VALUES (now(), now(), now(), %s, %s, 0.5, true, '{}', %s)",
        pk,
        world.species.pk,
        world.job.pk,
    )
    return {(Detection, pk)}


@fault("split_occurrence")
def twice_in_one_capture(world: World) -> Rows:
    execute(
        "UPDATE main_detection SET source_image_id = %s WHERE occurrence_id = %s",
        world.captures[0].pk,
        world.occurrence.pk,
    )
    return rows(world.occurrence.pk)


@fault("split_occurrence")
def in_two_nights(world: World) -> Rows:
    (event,) = execute(
        "INSERT INTO main_event (created_at, updated_at, project_id, deployment_id, group_by, "
        "captures_count, detections_count, occurrences_count) "
        "VALUES (now(), now(), %s, %s, '2022-06-21', 0, 0, 0) RETURNING id",
        world.project.pk,
        world.deployment.pk,
    )
    execute("UPDATE main_sourceimage SET event_id = %s WHERE id = %s", event, world.captures[0].pk)
    return rows(world.occurrence.pk)


@fault("split_occurrence")
def in_two_projects(world: World) -> Rows:
    (project,) = execute(
        "INSERT INTO main_project (created_at, updated_at, name) "
        "VALUES (now(), now(), 'Other') RETURNING id"
    )
    execute(
        "UPDATE main_sourceimage SET project_id = %s WHERE id = %s", project, world.captures[0].pk
    )
    return rows(world.occurrence.pk)


@fault("missing_determination")
def classified_and_undetermined(world: World) -> Rows:
    """An occurrence without any taxon to choose from has no determination."""
    execute(
        "UPDATE main_occurrence SET determination_id = NULL, determination_score = NULL "
        "WHERE id = %s",
        world.occurrence.pk,
    )
    left_empty(world)
    return rows(world.occurrence.pk)


@fault("missing_determination")
def identified_and_undetermined(world: World) -> Rows:
    execute(
        "UPDATE main_occurrence SET determination_id = NULL, determination_score = NULL "
        "WHERE id = %s",
        world.identified.pk,
    )
    return rows(world.identified.pk)


@fault("stale_determination")
def machine_over_person(world: World) -> Rows:
    execute(
        "UPDATE main_occurrence SET determination_id = %s WHERE id = %s",
        world.species.pk,
        world.identified.pk,
    )
    return rows(world.identified.pk)


@fault("stale_determination")
def determined_by_nothing(world: World) -> Rows:
    execute(
        "UPDATE main_occurrence SET determination_id = %s, determination_score = 1 "
        "WHERE id = ANY(%s)",
        world.species.pk,
        ids := [pk for _, pk in left_empty(world)],
    )
    return rows(*ids)


@fault("stale_score")
def another_score(world: World) -> Rows:
    execute(
        "UPDATE main_occurrence SET determination_score = 0.125 WHERE id = %s", world.occurrence.pk
    )
    return rows(world.occurrence.pk)


@fault("stale_score")
def no_score(world: World) -> Rows:
    execute(
        "UPDATE main_occurrence SET determination_score = NULL WHERE id = %s", world.identified.pk
    )
    return rows(world.identified.pk)


@fault("stale_score")
def score_of_no_taxon(world: World) -> Rows:
    empty = left_empty(world)
    execute(
        "UPDATE main_occurrence SET determination_score = 1 WHERE id = ANY(%s)",
        [pk for _, pk in empty],
    )
    return empty

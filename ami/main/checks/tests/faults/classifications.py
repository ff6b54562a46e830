from ami.main.checks.tests.world import Rows, World, execute, fault
from ami.main.models import Classification

COLUMNS = (
    "created_at, updated_at, detection_id, taxon_id, score, scores, logits, timestamp, "
    "algorithm_id, category_map_id, applied_to_id, job_id, metadata"
)
COPY = (
    f"INSERT INTO main_classification (terminal, {COLUMNS}) "
    f"SELECT %s, {COLUMNS} FROM main_classification WHERE id = %s RETURNING id"
)
SET_SOURCE = "UPDATE main_classification SET applied_to_id = %s WHERE id = %s"


def rows(*ids: int) -> Rows:
    return {(Classification, pk) for pk in ids}


@fault("several_terminal")
def superseded_one_left_terminal(world: World) -> Rows:
    execute("UPDATE main_classification SET terminal = true WHERE id = %s", world.older.pk)
    return rows(world.older.pk)


@fault("several_terminal")
def of_two_at_one_time_the_first(world: World) -> Rows:
    first, second = (execute(COPY, True, world.older.pk)[0] for _ in range(2))
    execute(
        "UPDATE main_classification SET algorithm_id = %s, score = id / 1e9 WHERE id IN (%s, %s)",
        world.masked.algorithm_id,
        first,
        second,
    )
    return rows(first)


@fault("duplicate_classification")
def saved_twice(world: World) -> Rows:
    """Classifications derived from the first one now refer to its copy."""
    (copy,) = execute(COPY, False, world.raw.pk)
    execute(SET_SOURCE, copy, world.masked.pk)
    return rows(copy)


@fault("duplicate_classification")
def saved_twice_without_anything_known(world: World) -> Rows:
    (first,) = execute(COPY, False, world.raw.pk)
    execute(
        "UPDATE main_classification SET algorithm_id = NULL, taxon_id = NULL, score = NULL "
        "WHERE id = %s",
        first,
    )
    return rows(*execute(COPY, False, first))


@fault("duplicate_classification")
def saved_twice_with_what_follows(world: World) -> Rows:
    """Once the sources are merged, the classifications derived from them are duplicates."""
    (copy,) = execute(COPY, False, world.raw.pk)
    (derived,) = execute(COPY, True, world.masked.pk)
    execute(SET_SOURCE, copy, derived)
    return rows(copy)


@fault("broken_lineage")
def derived_from_what_it_supersedes(world: World) -> Rows:
    execute(SET_SOURCE, world.masked.pk, world.raw.pk)
    return rows(world.raw.pk, world.masked.pk)


@fault("broken_lineage")
def derived_from_itself(world: World) -> Rows:
    """A classification derived from it leads into the loop, but is not part of it."""
    execute(SET_SOURCE, world.raw.pk, world.raw.pk)
    return rows(world.raw.pk)


@fault("broken_lineage")
def derived_from_another_detection(world: World) -> Rows:
    execute(SET_SOURCE, world.older.pk, world.masked.pk)
    return rows(world.masked.pk)


@fault("vector_length")
def one_score_missing(world: World) -> Rows:
    execute("UPDATE main_classification SET scores = '{1}' WHERE id = %s", world.raw.pk)
    return rows(world.raw.pk)


@fault("vector_length")
def one_logit_too_many(world: World) -> Rows:
    """Without a category map, no length is wrong."""
    execute(
        "UPDATE main_classification SET category_map_id = NULL, scores = '{1}' WHERE id = %s",
        world.masked.pk,
    )
    execute("UPDATE main_classification SET logits = '{1, 2, 3}' WHERE id = %s", world.raw.pk)
    return rows(world.raw.pk)


@fault("vector_length")
def no_numbers_at_all(world: World) -> Rows:
    execute("UPDATE main_classification SET scores = '{}' WHERE id = %s", world.raw.pk)
    return rows(world.raw.pk)

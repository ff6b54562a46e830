from ami.main.checks.tests.world import Rows, World, execute, fault
from ami.main.models import Detection, SourceImage

SET_BOX = "UPDATE main_detection SET bbox = %s::float8[] WHERE id = %s"


def box(world: World, text: str) -> Rows:
    pk = world.detections[0].pk
    execute(SET_BOX, text, pk)
    return {(Detection, pk)}


@fault("invalid_box")
def not_a_number(world: World) -> Rows:
    return box(world, "{NaN, 0, 10, 10}")


@fault("invalid_box")
def without_end(world: World) -> Rows:
    return box(world, "{0, 0, Infinity, 10}")


@fault("invalid_box")
def without_beginning(world: World) -> Rows:
    return box(world, "{-Infinity, 0, 10, 10}")


@fault("invalid_box")
def three_numbers(world: World) -> Rows:
    return box(world, "{0, 0, 10}")


@fault("invalid_box")
def five_numbers(world: World) -> Rows:
    return box(world, "{0, 0, 10, 10, 10}")


@fault("invalid_box")
def no_numbers(world: World) -> Rows:
    return box(world, "{}")


@fault("invalid_box")
def four_numbers_in_two_rows(world: World) -> Rows:
    return box(world, "{{0, 0}, {10, 10}}")


@fault("invalid_box")
def null_among_the_numbers(world: World) -> Rows:
    return box(world, "{0, 0, NULL, 10}")


@fault("invalid_box")
def corners_swapped(world: World) -> Rows:
    return box(world, "{0, 10, 10, 0}")


@fault("invalid_box")
def without_area(world: World) -> Rows:
    return box(world, "{5, 0, 5, 10}")


@fault("box_outside_frame")
def beyond_the_left(world: World) -> Rows:
    return box(world, "{-1.5, 0, 10, 10}")


@fault("box_outside_frame")
def beyond_the_top(world: World) -> Rows:
    return box(world, "{0, -2, 10, 10}")


@fault("box_outside_frame")
def beyond_the_right(world: World) -> Rows:
    """Half a pixel beyond the bottom is within the tolerance."""
    execute(SET_BOX, "{0, 0, 10, 1000.5}", world.detections[1].pk)
    return box(world, "{0, 0, 1001.5, 10}")


@fault("box_outside_frame")
def beyond_the_bottom(world: World) -> Rows:
    return box(world, "{0, 0, 10, 1002}")


@fault("capture_without_size")
def without_width(world: World) -> Rows:
    pk = world.captures[0].pk
    execute("UPDATE main_sourceimage SET width = NULL WHERE id = %s", pk)
    return {(SourceImage, pk)}


@fault("capture_without_size")
def height_of_nothing(world: World) -> Rows:
    """A capture without detections may have no size."""
    pk, empty = (capture.pk for capture in world.captures)
    execute(
        "DELETE FROM main_classification c USING main_detection d "
        "WHERE d.id = c.detection_id AND d.source_image_id = %s",
        empty,
    )
    execute("DELETE FROM main_detection WHERE source_image_id = %s", empty)
    execute("UPDATE main_sourceimage SET height = 0 WHERE id IN (%s, %s)", pk, empty)
    return {(SourceImage, pk)}


@fault("wrong_project")
def of_another_project(world: World) -> Rows:
    pk = world.captures[0].pk
    execute(
        "WITH other AS (INSERT INTO main_project (name, created_at, updated_at) "
        "VALUES ('Other', now(), now()) RETURNING id) "
        "UPDATE main_sourceimage SET project_id = other.id FROM other "
        "WHERE main_sourceimage.id = %s",
        pk,
    )
    return {(SourceImage, pk)}


@fault("wrong_project")
def of_no_project(world: World) -> Rows:
    pk = world.captures[0].pk
    execute("UPDATE main_sourceimage SET project_id = NULL WHERE id = %s", pk)
    return {(SourceImage, pk)}

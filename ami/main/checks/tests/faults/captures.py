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


@fault("box_in_fractions")
def shares_of_the_frame(world: World) -> Rows:
    return box(world, "{0.1, 0.2, 0.3, 0.4}")


@fault("box_in_fractions")
def the_whole_frame_as_one(world: World) -> Rows:
    """A box with sides of one pixel is valid."""
    execute(SET_BOX, "{1, 0, 2, 1}", world.detections[1].pk)
    return box(world, "{0, 0, 1, 1}")


@fault("box_in_fractions")
def less_than_a_pixel(world: World) -> Rows:
    return box(world, "{7.5, 7.5, 8.25, 8.25}")


def two_boxes(world: World, former: str, other: str) -> Rows:
    """The two detections of the second capture have the same box."""
    pks = [detection.pk for detection in world.detections[1:]]
    for pk, text in zip(pks, (former, other), strict=True):
        execute(SET_BOX, text, pk)
    return {(Detection, pk) for pk in pks}


@fault("same_box")
def the_same_twice(world: World) -> Rows:
    """The same box on another capture is not a fault."""
    execute(SET_BOX, "{10, 10, 50, 50}", world.detections[0].pk)
    return two_boxes(world, "{10, 10, 50, 50}", "{10, 10, 50, 50}")


@fault("same_box")
def the_same_but_for_rounding(world: World) -> Rows:
    """The two boxes round to different pixels."""
    return two_boxes(world, "{10.4999996, 10, 50, 50}", "{10.5000004, 10, 50, 50.0000004}")


def timed(world: World, time: str) -> Rows:
    pk = world.captures[0].pk
    execute("UPDATE main_sourceimage SET timestamp = %s WHERE id = %s", time, pk)
    return {(SourceImage, pk)}


@fault("time_outside_night")
def a_day_and_a_second_too_early(world: World) -> Rows:
    """The other capture is exactly one day too early, which is not a fault."""
    execute(
        "UPDATE main_sourceimage SET timestamp = '2022-06-19T12:00Z' WHERE id = %s",
        world.captures[1].pk,
    )
    return timed(world, "2022-06-19T11:59:59Z")


@fault("time_outside_night")
def more_than_a_day_too_late(world: World) -> Rows:
    """The time zone of the deployment applies, where a night begins four hours later."""
    execute(
        "UPDATE main_deployment SET time_zone = 'America/New_York' WHERE id = %s",
        world.deployment.pk,
    )
    execute(
        "UPDATE main_sourceimage SET timestamp = '2022-06-22T15:59Z' WHERE id = %s",
        world.captures[1].pk,
    )
    return timed(world, "2022-06-22T16:00:01Z")


@fault("time_outside_night")
def clock_that_was_never_set(world: World) -> Rows:
    """The name of the night is not a date."""
    execute("UPDATE main_event SET group_by = '1970-13-45, trap 1' WHERE id = %s", world.event.pk)
    return timed(world, "1970-01-01T00:00Z")


@fault("time_outside_night")
def in_the_future_and_in_no_night(world: World) -> Rows:
    execute(
        "UPDATE main_sourceimage SET event_id = NULL, timestamp = '2022-06-20T23:00Z' "
        "WHERE id = %s",
        world.captures[1].pk,
    )
    execute("UPDATE main_sourceimage SET event_id = NULL WHERE id = %s", world.captures[0].pk)
    return timed(world, "2099-06-21T03:00Z")

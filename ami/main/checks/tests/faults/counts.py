from ami.main.checks.tests.world import Rows, World, execute, fault
from ami.main.models import Deployment, Event, SourceImage


@fault("stale_counts")
def everything_counted_wrong(world: World) -> Rows:
    execute("UPDATE main_sourceimage SET detections_count = 9 WHERE id = %s", world.captures[0].pk)
    execute("UPDATE main_event SET occurrences_count = 9 WHERE id = %s", world.event.pk)
    execute("UPDATE main_deployment SET events_count = 9 WHERE id = %s", world.deployment.pk)
    return {
        (SourceImage, world.captures[0].pk),
        (Event, world.event.pk),
        (Deployment, world.deployment.pk),
    }


@fault("stale_counts")
def one_capture_counted_wrong(world: World) -> Rows:
    pk = world.captures[1].pk
    execute("UPDATE main_sourceimage SET detections_count = 0 WHERE id = %s", pk)
    return {(SourceImage, pk)}

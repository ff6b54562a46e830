from collections.abc import Callable

from django.db.models import Model

from ami.main import counts
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


def counted_wrong(model: type[Model], column: str, row: Callable[[World], Model]) -> None:
    def make(world: World) -> Rows:
        pk = row(world).pk
        execute(f"UPDATE {model._meta.db_table} SET {column} = {column} + 1 WHERE id = %s", pk)
        return {(model, pk)}

    make.__name__ = f"{column}_of_{model._meta.model_name}"
    fault("stale_counts")(make)


for column in counts.CAPTURES:
    counted_wrong(SourceImage, column, lambda world: world.captures[0])
for column in counts.EVENTS:
    counted_wrong(Event, column, lambda world: world.event)
for column in counts.DEPLOYMENTS:
    counted_wrong(Deployment, column, lambda world: world.deployment)

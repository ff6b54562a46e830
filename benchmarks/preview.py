"""The preview of the size filter on a scope that it reads whole, and on one that it samples."""

import time

from django.db import connection

from ami.main.models import Project, SourceImage, SourceImageCollection
from ami.ml.post_processing.preview import preview
from ami.ml.post_processing.scopes import SCOPES, Chosen
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from benchmarks import databases
from benchmarks.report import Figure
from benchmarks.small_size_filter import SIZES

TITLE = "Preview of a run"
ROUNDS = 5
SETS = next(scope for scope in SCOPES if scope.model is SourceImageCollection)


def run(*, quick: bool) -> list[Figure]:
    labels = {"quick": 0.1} if quick else {"filter": 1.0, "filter_tenfold": 10.0}
    figures: list[Figure] = []
    for label, factor in labels.items():
        with databases.copied(databases.seeded(label, SIZES.scaled(factor))):
            figures += _measure(rounds=1 if quick else ROUNDS)
    return figures


def _measure(*, rounds: int) -> list[Figure]:
    chosen = Chosen(SETS, [_everything()], foreign=[])
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        task = SmallSizeFilterTask(source_image_collection_id=chosen.ids[0])
        extent = preview(task, chosen).extent
        took.append(time.perf_counter() - start)
    of = f"{extent.all_rows:,} detections"
    return [
        Figure(f"preview of {of}, the fastest of {rounds}", min(took), "s", at_most=2),
        Figure(f"of {of}, processed", extent.rows),
    ]


def _everything() -> int:
    """The id of a new capture set of all captures, those of other projects included."""
    whole = SourceImageCollection.objects.create(
        name="Everything", project=Project.objects.earliest("pk")
    )
    whole.images.set(SourceImage.objects.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return whole.pk

"""The same work at full size and on ten times the rows: what stays flat, and what grows with them.

`make bench` does not run this, because the larger database takes an hour to seed and 40 GB.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from urllib.parse import urlencode

from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ami.integrity.runner import run_checks
from ami.jobs import pruning
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job
from ami.jobs.tasks import run_job
from ami.main.checks.declarations import chosen_checks
from ami.main.management.scale import Sizes
from ami.main.models import Project, SourceImageCollection
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from benchmarks import databases
from benchmarks.changelists import LISTS, ROUNDS, WARM_UP, Site
from benchmarks.report import Figure
from benchmarks.timing import interleaved, timed

TITLE = "Ten times the rows"
SEARCHES = {
    "main_occurrence": "seeded SPECIES 97",
    "main_classification": "seeded SPECIES 97",
    "main_detection": "seed/9999/7.jpg",
    "main_sourceimage": "seed/12",
}
FILL = """
INSERT INTO main_sourceimagecollection_images (sourceimagecollection_id, sourceimage_id)
SELECT %s, id FROM main_sourceimage ORDER BY id LIMIT %s
"""


def run(*, quick: bool) -> list[Figure]:
    once = Sizes().scaled(0.001) if quick else Sizes()
    tenfold = replace(once.scaled(10), taxa=once.taxa)
    label = "quick_growth" if quick else "full"
    rounds = 1 if quick else ROUNDS
    measured = partial(_measured, captures=once.captures, rounds=rounds)
    small_name = databases.seeded(label, once)
    with databases.copied(small_name):
        small = dict(measured(connection.settings_dict["NAME"]))
    if quick:
        databases.drop(small_name)
    large_name = databases.seeded(f"{label}_tenfold", tenfold)
    try:
        large = dict(measured(large_name))
    finally:
        databases.drop(large_name)
    return [
        figure
        for what in small
        for figure in (
            Figure(f"{what}, {once.detections:,} detections", small[what], "ms"),
            Figure(f"{what}, {tenfold.detections:,} detections", large[what], "ms"),
            Figure(f"{what}: tenfold ÷ onefold", large[what] / small[what]),
        )
    ]


def _measured(name: str, *, captures: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield each kind of work with its milliseconds; what it writes is reverted and deleted."""
    site = Site(name)
    with closing(site.database), databases.using(site.database):
        for what, get in _pages(site).items():
            interleaved({what: partial(timed, get)}, rounds=min(WARM_UP, rounds))
            seconds = interleaved({what: partial(timed, get)}, rounds=rounds)[what]
            yield what, 1000 * seconds
        yield "integrity report", 1000 * timed(lambda: run_checks(chosen_checks()))
        for noun, number in (("one night", 100), (f"{captures:,} captures", captures)):
            with _capture_set(number) as scope:
                row = LaunchRow("Measured", None, {"source_image_collection_id": scope})
                job = launch(SmallSizeFilterTask, [row])[0]
                yield f"size filter, {noun}", 1000 * timed(partial(run_job, job.pk))
                revert = request_revert(Job.objects.get(pk=job.pk))
                yield f"its revert, {noun}", 1000 * timed(partial(run_job, revert.pk))
        now = timezone.now() + timedelta(seconds=1)
        pruned = partial(pruning.prune, now, logs_before=now)
        yield "pruning of all Jobs", 1000 * timed(lambda: list(pruned()))


def _pages(site: Site) -> dict[str, Callable[[], object]]:
    pages: dict[str, Callable[[], object]] = {
        f"list of {noun}": partial(site.get, reverse(f"admin:{model}_changelist"))
        for noun, model in LISTS.items()
    }
    for model, term in SEARCHES.items():
        path = f"{reverse(f'admin:{model}_changelist')}?{urlencode({'q': term})}"
        pages[f"search {model.partition('_')[2]} for {term}"] = partial(site.get, path)
    return pages | {"/healthz": partial(Client().get, "/healthz")}


@contextmanager
def _capture_set(captures: int) -> Iterator[int]:
    """The id of a capture set with this number of captures, deleted at the end."""
    capture_set = SourceImageCollection.objects.create(
        name="Measured", project=Project.objects.earliest("pk")
    )
    with connection.cursor() as cursor:
        cursor.execute(FILL, [capture_set.pk, captures])
    try:
        yield capture_set.pk
    finally:
        capture_set.images.clear()
        capture_set.delete()

"""The same work at full size and on ten times the rows: what stays flat, and what grows with them.

`make bench` does not run this, because the larger database needs 30 GB.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.core.management.color import no_style
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ami.integrity.runner import run_checks
from ami.jobs import pruning
from ami.jobs.engine import runner
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.states import PartState
from ami.main.checks.declarations import chosen_checks
from ami.main.management.scale import NUMBERED, Sizes
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
FACTOR = 10
FILL = """
INSERT INTO main_sourceimagecollection_images (sourceimagecollection_id, sourceimage_id)
SELECT %s, id FROM main_sourceimage ORDER BY id LIMIT %s
"""


def run(*, quick: bool) -> list[Figure]:
    once = Sizes().scaled(0.001) if quick else Sizes()
    name = databases.seeded("quick_growth" if quick else "full", once)
    rounds = 1 if quick else ROUNDS
    try:
        with databases.copied(name):
            small = dict(_measured(captures=once.captures, rounds=rounds))
        with databases.copied(name):
            _multiply()
            large = dict(_measured(captures=once.captures, rounds=rounds))
    finally:
        if quick:
            databases.drop(name)
    return [
        figure
        for what in small
        for figure in (
            Figure(f"{what}, {once.detections:,} detections", small[what], "ms"),
            Figure(f"{what}, {FACTOR * once.detections:,} detections", large[what], "ms"),
            Figure(f"{what}: tenfold ÷ onefold", large[what] / small[what]),
        )
    ]


def _multiply() -> None:
    """Add the rows of the current database FACTOR - 1 times more, with shifted ids.

    Triggers and foreign keys can be off, because the copies are as consistent as the rows that are
    there.
    """
    models = [*NUMBERED.values(), SourceImageCollection.images.through]
    steps = {model: model._default_manager.latest("pk").pk for model in models}
    with databases.bulk_writes(models), connection.cursor() as cursor:
        for model in models:
            fields = model._meta.concrete_fields
            columns = ", ".join(f'"{field.column}"' for field in fields)
            values = ", ".join(_shifted(field, steps) for field in fields)
            cursor.execute(
                f"INSERT INTO {model._meta.db_table} ({columns}) SELECT {values} "  # noqa: S608
                f"FROM {model._meta.db_table}, generate_series(1, {FACTOR - 1}) AS copy"
            )
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [*models]):
            cursor.execute(statement)
        cursor.execute("VACUUM (FREEZE, ANALYZE)")


def _shifted(field: Any, steps: dict[type[Model], int]) -> str:
    """The SQL of a column of the copy: ids, and references to copied rows, are shifted."""
    model = field.model if field.primary_key else field.related_model
    column = f'"{field.column}"'
    return f"{column} + copy * {steps[model]}" if model in steps else column


def _measured(*, captures: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Yield each kind of work with its CPU milliseconds, of Python and PostgreSQL."""
    site = Site(connection.settings_dict["NAME"])
    with closing(site.database), databases.using(site.database):
        for what, get in _pages(site).items():
            interleaved({what: partial(timed, get)}, rounds=min(WARM_UP, rounds))
            cpu = interleaved({what: partial(timed, get)}, rounds=rounds)[what].cpu
            yield what, 1000 * cpu
        yield "integrity report", 1000 * timed(lambda: run_checks(chosen_checks())).cpu
        for noun, number in (("one night", 100), (f"{captures:,} captures", captures)):
            with _capture_set(number) as scope:
                row = LaunchRow("Measured", None, {"source_image_collection_id": scope})
                job = launch(SmallSizeFilterTask, [row])[0]
                yield f"size filter, {noun}", 1000 * timed(partial(_run, job)).cpu
                revert = request_revert(Job.objects.get(pk=job.pk))
                yield f"its revert, {noun}", 1000 * timed(partial(_run, revert)).cpu
        now = timezone.now() + timedelta(seconds=1)
        pruned = partial(pruning.prune, now, logs_before=now)
        yield "pruning of all Jobs", 1000 * timed(lambda: list(pruned())).cpu


def _run(job: Job) -> None:
    """Run all parts of a queued Job in this process."""
    runner.run(job.pk)
    for part in job.parts.filter(state=PartState.QUEUED).order_by("number"):
        runner.run_part(part.pk, task_id=part.task_id)
    job.refresh_from_db()
    if job.status != JobState.SUCCESS:
        sys.exit(f"The measured Job is {job.get_status_display().lower()}: {job.error}")


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

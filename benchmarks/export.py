"""Exports of one project: speed, memory and queries of each format."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.db import connection

from ami.exchange.export.registry import FORMATS, ExportOptions
from ami.exchange.export.run import write_file
from ami.exchange.export.scope import Scope
from ami.main.management.scale import Sizes, seed
from ami.main.models import Project
from benchmarks import databases
from benchmarks.memory import measure
from benchmarks.report import Figure
from benchmarks.timing import timed

TITLE = "Exports"
FAST = ("csv", "antenna_csv")
LEAST_PER_SECOND = 20_000
# Triggers would only keep projects and counts as these statements leave them.
ONE_PROJECT = """
SET session_replication_role = replica;
UPDATE main_deployment SET project_id = {project};
UPDATE main_event SET project_id = {project};
UPDATE main_sourceimage SET project_id = {project};
UPDATE main_detection SET project_id = {project};
UPDATE main_classification SET project_id = {project};
UPDATE main_occurrence SET project_id = {project};
SET session_replication_role = DEFAULT
"""


def run(*, quick: bool) -> list[Figure]:
    few = databases.seeded("export_few", Sizes().scaled(0.01), fill=one_project)
    sizes = Sizes().scaled(0.02) if quick else Sizes()
    many = databases.seeded("export_quick" if quick else "export_many", sizes, fill=one_project)
    try:
        return [*_speed(many, sizes.detections), *_memory(few, many, sizes.detections)]
    finally:
        if quick:
            databases.drop(few)
            databases.drop(many)


def one_project(sizes: Any) -> None:
    """Seed a database, and give all its rows to one project."""
    seed(sizes, report=lambda line: None)
    project = Project.objects.earliest("pk").pk
    with connection.cursor() as cursor:
        cursor.execute(ONE_PROJECT.format(project=project))


def run_task() -> None:
    """Export all rows as CSV."""
    export("csv")


def export(key: str) -> None:
    with TemporaryDirectory() as folder:
        write_file(
            FORMATS[key],
            Scope(Project.objects.earliest("pk").pk),
            ExportOptions(media_url="https://images.example.org/"),
            Path(folder) / f"export{FORMATS[key].suffix}",
        )


def _speed(database: str, detections: int) -> list[Figure]:
    figures = []
    with databases.opened(database):
        databases.warm()
        for key in FORMATS:
            seconds = timed(lambda key=key: export(key))  # type: ignore[misc]
            least = LEAST_PER_SECOND if key in FAST else None
            figures += [
                Figure(f"{key}: detections per second", detections / seconds, at_least=least),
                Figure(f"{key}: CPU of the process", seconds.cpu, "s"),
            ]
    return figures


def _memory(few: str, many: str, detections: int) -> list[Figure]:
    peaks = [measure("export", database)[0] / 2**20 for database in (few, many)]
    return [
        Figure(f"peak memory, csv, {detections:,} detections", peaks[1], "MB"),
        Figure("the same ÷ that of few detections", peaks[1] / peaks[0], at_most=1.2),
    ]

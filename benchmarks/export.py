"""Exports of one project: speed, memory and queries of each format."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import transaction

from ami.exchange.export.registry import FORMATS, ExportOptions
from ami.exchange.export.run import write_file
from ami.exchange.export.scope import Scope
from ami.main.management.scale import Sizes
from ami.main.models import Project
from benchmarks import databases
from benchmarks.memory import measure
from benchmarks.one_project import drop, one_project
from benchmarks.report import Figure
from benchmarks.timing import timed

TITLE = "Exports"
FAST = ("csv", "antenna_csv")
LEAST_PER_SECOND = 20_000


def run(*, quick: bool) -> list[Figure]:
    sizes = Sizes().scaled(0.02) if quick else Sizes()
    few = one_project("quick" if quick else "hundredth", Sizes().scaled(0.01))
    many = one_project("quick_full" if quick else "full", sizes)
    try:
        return [*_speed(many, sizes.detections), *_memory(few, many, sizes.detections)]
    finally:
        if quick:
            drop(few)
            drop(many)


def run_task() -> None:
    """Export all rows as CSV."""
    export("csv")


def export(key: str) -> None:
    # In a transaction, the export reads on its connection, whose CPU time is measured.
    with TemporaryDirectory() as folder, transaction.atomic():
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
            seconds = timed(partial(export, key))
            least = LEAST_PER_SECOND if key in FAST else None
            figures += [
                Figure(f"{key}: detections per second", detections / seconds),
                Figure(f"{key}: per CPU second", detections / seconds.cpu, at_least=least),
            ]
    return figures


def _memory(few: str, many: str, detections: int) -> list[Figure]:
    peaks = [measure("export", database)[0] / 2**20 for database in (few, many)]
    return [
        Figure(f"peak memory, csv, {detections:,} detections", peaks[1], "MB"),
        Figure("the same ÷ that of few detections", peaks[1] / peaks[0], at_most=1.2),
    ]

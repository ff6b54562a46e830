from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from ami.base.commands import ProjectCommand
from ami.base.words import counted
from ami.exchange.base import ImportRefusedError
from ami.exchange.occurrence_file import read_occurrences
from ami.exchange.occurrence_parents import ImportReport
from ami.exchange.occurrences import import_occurrences
from ami.main.access import ROWS
from ami.main.models import Project
from ami.users.commands import add_person, person_of, require_rights
from ami.users.models import User

# What all projects share, to which an import adds the names of the file.
SHARED = ("main.add_taxon", "ml.change_algorithmcategorymap")


class Command(ProjectCommand):
    help = "Load an occurrence export of Antenna (JSON). Loading it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the export")
        parser.add_argument(
            "--project", required=True, help="name of the project; it is created if necessary"
        )
        parser.add_argument(
            "--deployment", help="name of the deployment, instead of the names in the file"
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        _require_rights(user, options["project"])
        try:
            records = read_occurrences(options["file"], deployment=options["deployment"])
            # `disable=None` shows the bar only on a terminal.
            with tqdm(total=len(records), unit=" occurrences", disable=None) as bar:
                report = import_occurrences(
                    records, project_name=options["project"], user=user, on_batch=bar.update
                )
        except ImportRefusedError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(self._summary(report, options["project"]))

    def _summary(self, report: ImportReport, project: str) -> str:
        if not report.captures and not report.classifications:
            return f"Project {project!r} already contains all rows; nothing was changed."
        into = "new project" if report.project_created else "project"
        return (
            f"Imported into {into} {project!r}: {counted(report.occurrences, 'occurrence')}, "
            f"{counted(report.detections, 'detection')}, {counted(report.captures, 'capture')}, "
            f"{counted(report.taxa, 'new taxon', 'new taxa')}."
        )


def _require_rights(user: User | None, project: str) -> None:
    require_rights(user, *SHARED)
    known = list(Project.objects.filter(name=project.strip()))
    for one in known:
        require_rights(user, *(name.replace(".", ".add_") for name in ROWS), row=one)
    if not known:
        require_rights(user, "main.add_project")

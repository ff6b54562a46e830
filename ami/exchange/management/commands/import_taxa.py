from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from ami.base.commands import ProjectCommand
from ami.base.words import counted
from ami.exchange.base import ImportRefusedError
from ami.exchange.taxa import TaxaReport, import_taxa
from ami.exchange.taxa_file import read_checklist
from ami.main.models import TaxaList
from ami.users.commands import add_person, person_of, require_rights
from ami.users.models import User


class Command(ProjectCommand):
    help = "Load a checklist of species (CSV) into a taxa list. Loading it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the checklist")
        parser.add_argument(
            "--list",
            required=True,
            dest="list_name",
            help="name of the taxa list; it is created if necessary",
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        _require_rights(user, options["list_name"])
        try:
            checklist = read_checklist(options["file"])
            report = import_taxa(checklist.rows, list_name=options["list_name"], user=user)
        except ImportRefusedError as error:
            raise CommandError(str(error)) from None
        for line, name in checklist.unmatched:
            self.stdout.write(f"line {line}: {name!r} has no GBIF match; skipped.")
        for note in report.notes:
            self.stdout.write(note)
        self.stdout.write(self._summary(report, options["list_name"]))
        skipped = counted(len(checklist.unmatched), "row")
        self.stdout.write(f"Skipped {skipped} without a GBIF match.")

    def _summary(self, report: TaxaReport, list_name: str) -> str:
        if not (report.created or report.filled or report.listed):
            return f"Taxa list {list_name!r} already contains all taxa; nothing was changed."
        return (
            f"Added {counted(report.created, 'taxon', 'taxa')} and completed {report.filled:,}; "
            f"added {report.listed:,} species to taxa list {list_name!r}."
        )


def _require_rights(user: User | None, list_name: str) -> None:
    require_rights(user, "main.add_taxon", "main.change_taxon")
    known = list(TaxaList.objects.filter(name=list_name.strip()))
    for one in known:
        require_rights(user, "main.change_taxalist", row=one)
    if not known:
        require_rights(user, "main.add_taxalist")

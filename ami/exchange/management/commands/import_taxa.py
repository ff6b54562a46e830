from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from ami.base.commands import ScriptableCommand
from ami.base.words import counted
from ami.exchange.base import ImportRefusedError, option_name
from ami.exchange.importing.names import NameListWork
from ami.exchange.importing.options import NameListOptions
from ami.exchange.importing.rights import rights_for_names
from ami.exchange.importing.service import import_here, new_import
from ami.exchange.plan import Outcome, add_plan_options
from ami.exchange.reading.registry import NAME_LIST, recognised
from ami.exchange.reading.start import start_of
from ami.exchange.tables import ENCODINGS
from ami.exchange.taxa import TaxaReport
from ami.jobs.models import Job
from ami.jobs.states import JobState
from ami.main.models import Taxon
from ami.users.commands import add_person, person_of, require_rights
from ami.users.models import User


class Command(ScriptableCommand):
    help = (
        "Load a name list (CSV, Excel or Darwin Core) into a taxa list. It adds what is new, and "
        "lists what differs. Loading it again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "file",
            type=Path,
            help="a checklist matched by GBIF, a GBIF species list, Darwin Core taxa as a table or "
            "an archive, or one name per line",
        )
        parser.add_argument(
            "--list",
            required=True,
            dest="list_name",
            help="name of the taxa list; it is created if necessary",
        )
        parser.add_argument(
            "--encoding",
            choices=list(ENCODINGS),
            help="the encoding of a text file; UTF-8 and UTF-16 are recognised",
        )
        add_plan_options(parser)
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        try:
            job, report = self._import(user, options)
        except ImportRefusedError as error:
            raise CommandError(str(error)) from None
        if options["format"] == "json":
            self.write_json(
                {
                    **report.plan.as_json(),
                    "coverage": [one.as_json() for one in report.coverage],
                    "job": job.pk,
                    "written": report.plan.writes and not job.dry_run,
                }
            )
            return
        for line in _lines(report, job):
            self.stdout.write(line)

    def _import(self, user: User | None, options: dict[str, Any]) -> tuple[Job, TaxaReport]:
        list_name, path = option_name("--list", options["list_name"]), options["file"]
        for perm, row in rights_for_names(list_name):
            require_rights(user, perm, row=row)
        _refuse_occurrences(path, options["encoding"])
        job = new_import(
            NAME_LIST,
            NameListOptions(
                list_name=list_name, encoding=options["encoding"], update=options["update"]
            ),
            name=path.name,
            project=None,
            user=user,
            dry_run=options["dry_run"],
        )
        reports: list[TaxaReport] = []
        import_here(job, path, partial(NameListWork, on_report=reports.append))
        if job.status != JobState.SUCCESS:
            raise CommandError(job.error)
        return job, reports[-1]


def _refuse_occurrences(path: Path, encoding: str | None) -> None:
    """Raises ImportRefusedError for a file in another format, or one that cannot be read."""
    found = recognised(start_of(path, encoding=encoding))
    if found not in {None, NAME_LIST}:
        raise ImportRefusedError(
            f"{path} is {found.name} ({found.key}), not a name list. Import it with "
            "import_occurrences."
        )


def _lines(report: TaxaReport, job: Job) -> Iterator[str]:
    plan, list_name = report.plan, job.params["options"]["list_name"]
    yield from plan.lines()
    yield from map(str, report.coverage)
    created = plan.counts[Outcome.CREATED][Taxon]
    completed = plan.counts[Outcome.CHANGED][Taxon]
    if job.dry_run:
        yield "This was a dry run; nothing was written."
    elif plan.writes:
        yield (
            f"Added {counted(created, 'taxon', 'taxa')} and changed {completed:,}; "
            f"added {report.listed:,} to taxa list {list_name!r}. "
            f"To undo it, revert Job {job.pk}."
        )
    elif plan.total(Outcome.DIFFERS, Outcome.CONTRADICTION):
        yield "See the differences and contradictions above; nothing was changed."
    else:
        yield f"Taxa list {list_name!r} already contains all taxa; nothing was changed."

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from ami.base.commands import ScriptableCommand, whole_number
from ami.base.ids import parse_id
from ami.base.words import counted
from ami.exchange.antenna_database.report import Report
from ami.exchange.antenna_database.run import CopyRefusedError, Options, copy_antenna
from ami.exchange.antenna_database.zones import ANTENNA
from ami.exchange.base import ImportRefusedError
from ami.main.models import Project
from ami.users.commands import add_person, person_of, require_superuser


class Command(ScriptableCommand):
    help = (
        "Copy an Antenna database, or one of its projects, into this one. Rows that cannot be "
        "copied are listed before anything is written. Exit codes: 0 copied, or planned with "
        "--dry-run; 1 refused; 2 bad usage."
    )
    blank = Report().as_json()

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--database",
            required=True,
            metavar="URL",
            help="the address of the Antenna database, such as postgresql://user@host/antenna; a "
            "password is better kept in ~/.pgpass or PGPASSWORD",
        )
        parser.add_argument(
            "--project", type=whole_number, metavar="ID", help="copy only this project of Antenna"
        )
        parser.add_argument(
            "--time-zone",
            metavar="ZONE",
            help="the time zone that the clocks of the cameras show, for all deployments that have "
            "no other one",
        )
        parser.add_argument(
            "--time-zone-of",
            action="append",
            default=[],
            type=_zone_of,
            metavar="ID=ZONE",
            help="the same for one deployment of Antenna, by its id; may be repeated",
        )
        parser.add_argument(
            "--server-time-zone",
            default=ANTENNA,
            metavar="ZONE",
            help=f"TIME_ZONE in the settings of the Antenna server (default {ANTENNA})",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only print the plan, and write nothing"
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        require_superuser(user)
        Project.objects.exists()  # a missing table of our own is told before anything else
        chosen = Options(
            project=options["project"],
            time_zone=options["time_zone"],
            time_zone_of=dict(options["time_zone_of"]),
            server_time_zone=options["server_time_zone"],
        )
        as_json = options["format"] == "json"
        try:
            # `disable=None` shows the bar only on a terminal.
            with tqdm(unit=" rows", disable=None) as bar:
                report = copy_antenna(
                    options["database"],
                    chosen,
                    user=user,
                    dry_run=options["dry_run"],
                    on_start=bar.reset,
                    on_rows=bar.update,
                )
        except CopyRefusedError as refusal:
            self._tell(refusal.report, as_json=as_json, refused=True)
            raise CommandError(str(refusal)) from None
        except ImportRefusedError as refusal:
            raise CommandError(str(refusal)) from None
        self._tell(report, as_json=as_json)

    def _tell(self, report: Report, *, as_json: bool, refused: bool = False) -> None:
        """Print the report. The JSON of a refusal is printed with the error."""
        if as_json:
            self.blank = report.as_json()
            if not refused:
                self.write_json({**self.blank, "error": ""})
            return
        for line in report.lines():
            self.stdout.write(line)
        if not refused:
            self.stdout.write(_summary(report))


def _summary(report: Report) -> str:
    if not report.written:
        return "This was a dry run; nothing was written."
    changed = counted(report.determinations_changed or 0, "determination")
    return (
        f"Copied {counted(report.rows, 'row')} of {counted(len(report.projects), 'project')}. "
        f"{changed} differed from what identifications and classifications say, and changed."
    )


def _zone_of(text: str) -> tuple[int, str]:
    """Parse ID=ZONE. Raises ArgumentTypeError."""
    pk, _, zone = text.partition("=")
    number = parse_id(pk)
    if number is None or not zone:
        raise ArgumentTypeError(f"must be ID=ZONE, such as 12=America/Panama, got {text[:50]!r}")
    return number, zone

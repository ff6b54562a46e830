from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ami.base.access import visible_rows_of
from ami.base.commands import BAD_USAGE, ScriptableCommand
from ami.jobs.models import Job
from ami.review.effect.cached import described
from ami.review.effect.report import unknown
from ami.review.effect.words import COLUMNS
from ami.users.commands import add_person, person_of


class Command(ScriptableCommand):
    help = "Compare the names before and after Jobs with what people say."
    blank = {"jobs": []}

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "jobs",
            nargs="+",
            type=int,
            metavar="JOB",
            help="the ids of the Jobs, in the order of the runs",
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        jobs = _jobs(options)
        found = {"jobs": [job.pk for job in jobs], **described(jobs)}
        if options["format"] == "json":
            self.write_json(found | {"error": ""})
            return
        self.stdout.write(found["sentence"])
        for key, name in COLUMNS.items():
            self.stdout.write(f"\n{name}: {found[key]['identified']:,}")
            for label, number in found[key]["moved"].items():
                self.stdout.write(f"  {label.replace('_', ' ')}: {number:,}")


def _jobs(options: dict[str, Any]) -> list[Job]:
    """Raises CommandError if a Job does not exist, has not begun, or has no journal."""
    user = person_of(options)
    rows = visible_rows_of(Job, user) if user else Job.objects.all()
    found = rows.in_bulk([pk for pk in options["jobs"] if 0 < pk < 2**63])
    for pk in options["jobs"]:
        if pk not in found:
            raise CommandError(f"There is no Job {pk}.", returncode=BAD_USAGE)
        if reason := unknown(found[pk]):
            raise CommandError(reason, returncode=BAD_USAGE)
    return [found[pk] for pk in dict.fromkeys(options["jobs"])]

import sys
from argparse import ArgumentParser
from collections import Counter
from datetime import timedelta
from typing import Any

from django.utils import timezone
from tqdm import tqdm

from ami.base.commands import ScriptableCommand, whole_number_from
from ami.base.words import counted
from ami.jobs import pruning
from ami.users.commands import add_person, person_of, require_superuser

JOBS_DAYS, LOGS_DAYS = 365, 90
MOST_DAYS = 36_500


class Command(ScriptableCommand):
    help = (
        "Delete old Jobs with their parts and journals, and the logs of less old Jobs. A Job "
        "without its journal cannot be reverted."
    )
    blank = {"dry_run": False, "deleted": {}}

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--older-than",
            type=whole_number_from(1, MOST_DAYS, "days"),
            default=JOBS_DAYS,
            metavar="DAYS",
            help=f"delete Jobs that ended more than DAYS days ago (default: {JOBS_DAYS})",
        )
        parser.add_argument(
            "--logs-older-than",
            type=whole_number_from(1, MOST_DAYS, "days"),
            default=LOGS_DAYS,
            metavar="DAYS",
            help=f"delete logs of Jobs that ended more than DAYS days ago (default: {LOGS_DAYS})",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only show what would be deleted"
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        require_superuser(user)
        now = timezone.now()
        before = now - timedelta(days=options["older_than"])
        logs_before = now - timedelta(days=options["logs_older_than"])
        if options["dry_run"]:
            figures = pruning.count(before, logs_before=logs_before)
        else:
            figures = _prune(pruning.prune(before, logs_before=logs_before, user=user))
        deleted = {name: figures[name] for name in ("jobs", "jobs_emptied", *pruning.OWNED)}
        if options["format"] == "json":
            self.write_json({"dry_run": options["dry_run"], "deleted": deleted, "error": ""})
            return
        verb = "Would delete" if options["dry_run"] else "Deleted"
        self.stdout.write(f"{verb} {_listed(deleted)}.")
        if kept := deleted["jobs_emptied"]:
            self.stdout.write(
                f"Other rows refer to {counted(kept, 'more Job')}; only the row of each is kept."
            )


def _prune(steps: Any) -> Counter[str]:
    figures: Counter[str] = Counter()
    with tqdm(unit=" rows", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
        for figures in steps:
            bar.set_description(f"{figures['jobs'] + figures['jobs_emptied']} Jobs", refresh=False)
            bar.update(sum(figures[name] for name in pruning.OWNED) - bar.n)
    return figures


def _listed(deleted: dict[str, int]) -> str:
    return (
        f"{counted(deleted['jobs'], 'Job')}, {counted(deleted['logs'], 'log line')}, "
        f"{counted(deleted['parts'], 'part')} and {counted(deleted['changes'], 'change')}"
    )

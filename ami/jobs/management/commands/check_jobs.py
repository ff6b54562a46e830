import sys
from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django.core.management.base import CommandError
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError

from ami.base.audit import Kind, record
from ami.base.commands import FAILED, ScriptableCommand
from ami.jobs.management.watch import operator_name
from ami.jobs.models import Job
from ami.jobs.watch import vitals
from ami.jobs.watch.stale import StaleJob, check_lost_enqueues, check_stale_jobs
from ami.users.commands import add_person, person_of, require_superuser
from ami.users.models import User

DONE = {
    "sent": ("Its message would be sent again.", "Its message was sent again."),
    "updated": ("It would continue.", "It continues."),
    "revoked": ("It would end as canceled.", "It ended as canceled."),
}


class Command(ScriptableCommand):
    help = (
        "Find stalled Jobs: those whose message is missing in the broker, and those whose worker "
        "is silent. Exit codes: 0 none found, or all repaired; 1 some remain; 2 bad usage."
    )
    blank = {"dry_run": True, "jobs": [], "workers": None}

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run",
            action=BooleanOptionalAction,
            default=True,
            help="only report (the default); --no-dry-run repairs the Jobs",
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run, user = options["dry_run"], person_of(options)
        require_superuser(user)
        try:
            found = [*check_lost_enqueues(dry_run=dry_run), *check_stale_jobs(dry_run=dry_run)]
        except (BrokerError, RedisError) as fault:
            raise CommandError(f"The broker does not answer: {fault}", returncode=FAILED) from None
        _record([job for job in found if job["fixed"]], user)
        workers = vitals.workers()
        if options["format"] == "json":
            self.write_json({"dry_run": dry_run, "jobs": found, "workers": workers, "error": ""})
        else:
            self._write(found, workers or {}, dry_run=dry_run)
        if not all(job["fixed"] for job in found):
            sys.exit(FAILED)

    def _write(self, found: list[StaleJob], workers: dict[str, int], *, dry_run: bool) -> None:
        for job in found:
            self.stdout.write(f"{job['reason']} {_outcome(job, dry_run=dry_run)}")
        if not found:
            self.stdout.write("No Job is stalled.")
        elif dry_run:
            self.stdout.write(
                "Nothing was changed; `manage.py check_jobs --no-dry-run` repairs the Jobs."
            )
        for queue, number in workers.items():
            if not number:
                self.stderr.write(f"No worker serves the queue {queue}.")


def _record(repaired: list[StaleJob], user: User | None) -> None:
    """Record who had the Jobs continue, or end as canceled."""
    for kind, ended in ((Kind.RESUME, False), (Kind.CANCEL, True)):
        ids = {job["job"] for job in repaired if (job["action"] == "revoked") == ended}
        jobs = Job.objects.filter(pk__in=ids).order_by("pk")
        record(jobs, kind=kind, user=user, message=f"Checked by {operator_name()}.")


def _outcome(job: StaleJob, *, dry_run: bool) -> str:
    would_be, done = DONE[job["action"]]
    if dry_run:
        return would_be
    return done if job["fixed"] else f"It could not be repaired. {job['error']}".rstrip()

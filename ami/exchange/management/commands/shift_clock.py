from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ami.base.commands import BAD_USAGE, ScriptableCommand, whole_number
from ami.exchange.clock import CHANGE, ShiftRefusedError, parse_shift, plan_shift, queue_shift
from ami.main.models import Deployment
from ami.users.commands import add_person, person_of, require_rights


class Command(ScriptableCommand):
    help = (
        "Shift the clock of a camera: the times of all captures of a deployment, as a Job that can "
        "be reverted. Exit codes: 0 queued, or planned with --dry-run; 1 refused; 2 bad usage."
    )
    blank = {"job": None, "plan": []}

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--deployment",
            type=whole_number,
            required=True,
            metavar="ID",
            help="the deployment whose clock was wrong",
        )
        parser.add_argument(
            "--by",
            required=True,
            metavar="±H:MM",
            help="what to add to all times, such as --by=+1:30 or --by=-0:15",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only print the plan, and write nothing"
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        deployment = Deployment.objects.filter(pk=options["deployment"]).first()
        if deployment is None:
            raise CommandError(
                f"There is no deployment {options['deployment']}.", returncode=BAD_USAGE
            )
        require_rights(user, CHANGE, row=deployment)
        try:
            shift = plan_shift(deployment, parse_shift(options["by"]))
        except ShiftRefusedError as refused:
            raise CommandError(str(refused)) from None
        job = None if options["dry_run"] else queue_shift(shift, user=user)
        plan = shift.sentences()
        if options["format"] == "json":
            self.write_json({"job": job and job.pk, "plan": plan})
            return
        for sentence in plan:
            self.stdout.write(sentence)
        self.stdout.write(f"Queued as Job {job.pk}." if job else "Nothing was written.")

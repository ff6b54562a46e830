import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, SystemCheckError
from django.db import Error, ProgrammingError
from tqdm import tqdm

from ami.base.commands import ScriptableCommand, missing_migrations
from ami.base.ids import parse_id
from ami.base.registry import UnknownKeyError
from ami.integrity import report
from ami.integrity.finding import Scope
from ami.integrity.models import CHECK, IntegrityRun
from ami.integrity.runner import first_line, run_checks
from ami.integrity.schedule import UnknownScopeError, scope_of
from ami.integrity.service import new_repair, repair_here
from ami.jobs.engine.here import cancel_waiting, must_wait
from ami.jobs.models import Job
from ami.jobs.service import LAUNCH
from ami.jobs.states import JobCanceledError, JobState
from ami.main.checks.declarations import Check, Severity, Tag, chosen_checks
from ami.main.checks.schemas import SAMPLES
from ami.main.models import Project
from ami.users.commands import add_person, person_of, require_rights
from ami.users.models import User

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
JOB_GONE = "The Job of the repair, or its project, was deleted; repaired rows stay repaired."


class Command(ScriptableCommand):
    help = (
        "Find faulty rows, and repair them with --no-dry-run. Exit code: 0 clean, 1 findings at or "
        "above the fail level remain, 2 a check could not run or incorrect usage."
    )

    blank = report.BLANK
    could_not_run = report.COULD_NOT_RUN

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run",
            action=BooleanOptionalAction,
            default=True,
            help="only report (the default), or repair",
        )
        parser.add_argument("--project", type=_id, metavar="N", help="only rows of this project")
        parser.add_argument(
            "--job", type=_id, metavar="N", help="only rows that this Job has classified"
        )
        parser.add_argument(
            "--check",
            action="append",
            default=[],
            metavar="KEY",
            help="only this check; can be repeated; all checks by default",
        )
        parser.add_argument(
            "--tag",
            action="append",
            default=[],
            choices=Tag.values,
            help="only checks with this tag; can be repeated and combined with --check",
        )
        parser.add_argument("--list", action="store_true", help="list the checks, and run none")
        parser.add_argument(
            "--samples",
            type=_samples,
            default=10,
            metavar="N",
            help="number of ids to show per check (default 10)",
        )
        parser.add_argument(
            "--fail-level",
            choices=Severity.values,
            default=Severity.ERROR,
            help="lowest severity that causes exit code 1 (default error)",
        )

        add_person(parser)

    def run_from_argv(self, argv: list[str]) -> None:
        with _ended_in_order():
            super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except SystemCheckError as unfit:
            if options["format"] == "json":
                self.write_json({**self.blank, "error": "The system checks failed."})
            unfit.returncode = report.COULD_NOT_RUN
            raise

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options["format"] == "json"
        try:
            checks = chosen_checks(keys=options["check"], tags=options["tag"])
            if options["list"]:
                self.stdout.write(report.listing(checks, as_json=as_json))
                return
            scope = scope_of(options["project"], options["job"])
            user = person_of(options)
            _require_rights(user, scope, dry_run=options["dry_run"])
            run = self._run(checks, scope, user, dry_run=options["dry_run"])
        except (UnknownKeyError, UnknownScopeError) as unknown:
            raise _refusal(str(unknown)) from None
        except Job.DoesNotExist:
            raise _refusal(JOB_GONE) from None
        except Error as error:
            missing = isinstance(error, ProgrammingError) and missing_migrations()
            raise _refusal(missing or f"The database failed: {first_line(error)}") from None
        except (KeyboardInterrupt, JobCanceledError):
            raise _refusal("Stopped; repaired rows stay repaired.") from None
        results = list(run.results.order_by("pk"))
        code = report.exit_code(results, fail_level=Severity(options["fail_level"]))
        samples = options["samples"]
        self.stdout.write(
            report.as_json(run, results, samples=samples, exit_code=code)
            if as_json
            else report.as_text(run, results, samples=samples)
        )
        if code:
            sys.exit(code)

    def _run(
        self, checks: list[Check], scope: Scope, user: User | None, *, dry_run: bool
    ) -> IntegrityRun:
        # `disable=None` shows the bar only on a terminal.
        with tqdm(total=len(checks), unit=" checks", disable=None) as bar:
            if dry_run:
                return run_checks(
                    checks, scope=scope, user=user, on_result=lambda result: bar.update()
                )
            return _repair(
                new_repair(checks, scope=scope, user=user),
                on_batch=lambda rows: bar.set_postfix(rows=rows),
                on_check=lambda result: bar.update(),
            )


def _require_rights(user: User | None, scope: Scope, *, dry_run: bool) -> None:
    """Raises CommandError if the user of `--as` may not check, or repair, in the scope."""
    if user is None or user.is_superuser:
        return
    if scope.project_id is None and scope.job_id is None:
        raise _refusal("Only superusers check all projects; give --project or --job.")
    for model, pk, noun in ((Project, scope.project_id, "project"), (Job, scope.job_id, "Job")):
        if pk is None:
            continue
        row = model._default_manager.for_user(user).filter(pk=pk).first()
        if row is None:
            raise _refusal(f"There is no {noun} {pk}.")
        require_rights(user, CHECK if dry_run else LAUNCH, row=row)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that the Job is ended as well.

    This also applies if the process inherits that they are ignored, as in the background.
    """
    former = {number: signal.signal(number, signal.default_int_handler) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in former.items():
            # None stands for a handler that Python did not install and cannot install again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _repair(job: Job, **listeners: Callable[[Any], object]) -> IntegrityRun:
    """Run the repair in this process. Raises CommandError if it must wait, or was interrupted."""
    run = repair_here(job, **listeners)
    if must_wait(job):
        raise _refusal(f"Nothing was repaired. {cancel_waiting(job)}")
    if job.status == JobState.REVOKED:
        raise JobCanceledError
    if run is None or run.finished_at is None:
        raise _refusal(job.error or f"Job {job.pk} goes on in a worker.")
    return run


def _refusal(sentence: str) -> CommandError:
    return CommandError(sentence, returncode=report.COULD_NOT_RUN)


def _id(text: str) -> int:
    pk = parse_id(text)
    if pk is None:
        raise ArgumentTypeError(f"{text[:50]!r} is not an id.")
    return pk


def _samples(text: str) -> int:
    number = parse_id(text)
    if number is None or number > SAMPLES:
        raise ArgumentTypeError(f"{text[:50]!r} is not a number from 0 to {SAMPLES}.")
    return number

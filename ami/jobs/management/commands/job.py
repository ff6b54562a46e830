import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandError
from tqdm import tqdm

from ami.base.audit import Kind, record
from ami.base.commands import BAD_USAGE, FAILED, ScriptableCommand, whole_number
from ami.jobs.management.tell import outcome_of, write_outcome
from ami.jobs.management.watch import operator_name
from ami.jobs.models import Job
from ami.jobs.service import LAUNCH, RunAgainRefusedError, can_run_again, run_again
from ami.jobs.states import PartState
from ami.jobs.summary import summary_of
from ami.users.commands import add_person, person_of
from ami.users.models import User

DONE = {
    "cancel": "canceled",
    "pause": "paused",
    "resume": "resumed",
    "run-again": "run again",
}
OTHER_NAMES = {"retry": "run-again"}


class Command(ScriptableCommand):
    help = (
        "Show, cancel, pause or resume Jobs, or run them again as new Jobs. Exit codes: 0 done; "
        "1 the state of a Job does not allow the action; 2 bad usage."
    )
    blank = {"jobs": []}

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "action", choices=["show", *DONE], type=lambda name: OTHER_NAMES.get(name, name)
        )
        parser.add_argument(
            "ids", nargs="+", type=whole_number, metavar="ID", help="the ids of the Jobs"
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        action, as_json = options["action"], options["format"] == "json"
        told, all_done = [], True
        user = person_of(options)
        for asked in _jobs(options["ids"], user):
            job, message = _ask(asked, action, user)
            done = job is not None
            all_done = all_done and done
            job = job or asked
            job.refresh_from_db()
            if as_json:
                told.append({**_described(job), "done": done, "message": message})
            elif action == "show":
                self._show(job)
            else:
                (self.stdout if done else self.stderr).write(message)
        if as_json:
            self.write_json({"jobs": told, "error": ""})
        if not all_done:
            sys.exit(FAILED)

    def _show(self, job: Job) -> None:
        write_outcome(job, self.stdout, self.stderr)
        summary = summary_of(job)
        if summary.rows_total:
            self.stdout.write(f"  Rows: {summary.rows_done} of {summary.rows_total}")
            self.stdout.write(f"  Parts: {_states(summary.states)}")
        if summary.seconds_left:
            left = tqdm.format_interval(summary.seconds_left)
            self.stdout.write(f"  Rate: {summary.rate:,.0f} rows/s, {left} left")
        if allowed := _allowed(job):
            self.stdout.write(f"  Allows: {', '.join(allowed)}")


def _jobs(ids: list[int], user: User | None) -> list[Job]:
    """The distinct Jobs in the order of `ids`. Raises CommandError if one does not exist.

    One that `user` may not see does not exist, either.
    """
    rows = Job.objects.for_user(user) if user else Job.objects.all()
    jobs = rows.in_bulk(set(ids))
    for pk in ids:
        if pk not in jobs:
            raise CommandError(f"There is no Job {pk}.", returncode=BAD_USAGE)
    return [jobs[pk] for pk in dict.fromkeys(ids)]


def _ask(job: Job, action: str, user: User | None) -> tuple[Job | None, str]:
    """Carry out `action`: the resulting Job, None if it was refused, and the sentence to print."""
    if action == "show":
        return job, ""
    needed = LAUNCH if action == "run-again" else "jobs.change_job"
    if user and not user.has_perm(needed, job):
        return None, f"Job {job.pk} cannot be {DONE[action]} by {user}, who lacks {needed}."
    if action == "run-again":
        return _run_again(job, user)
    by = str(user or operator_name())
    if action in _allowed(job) and getattr(job, action)(by=by):
        message = f"{DONE[action].capitalize()} by {operator_name()}."
        record([job], kind=Kind(action), user=user, message=message)
        job.refresh_from_db()
        return job, _done_sentence(job, action)
    job.refresh_from_db()
    return None, _refused_sentence(job, action)


def _run_again(job: Job, user: User | None) -> tuple[Job | None, str]:
    try:
        again = run_again(job, user=user)
    except (PermissionDenied, RunAgainRefusedError) as refused:
        return None, str(refused)
    again.logger.info("Job %d run again by %s.", job.pk, user or operator_name())
    return (
        again,
        f"Job {again.pk} runs Job {job.pk} again.{_reason(again)}",
    )


def _allowed(job: Job) -> list[str]:
    verbs = [verb for verb in ("cancel", "pause", "resume") if getattr(job, f"can_{verb}")]
    return [*verbs, "run-again"] if can_run_again(job) else verbs


def _refused_sentence(job: Job, action: str) -> str:
    allowed = ", ".join(_allowed(job)) or "nothing"
    status = job.get_status_display().lower()
    return (
        f"Job {job.pk} cannot be {DONE[action]} while its status is {status!r}; allowed: {allowed}."
    )


def _done_sentence(job: Job, action: str) -> str:
    if action == "cancel" and not job.is_final:
        return f"Job {job.pk} stops after its current batches."
    return f"Job {job.pk} was {DONE[action]}.{_reason(job)}"


def _reason(job: Job) -> str:
    return f" {job.waits}" if job.waits else ""


def _described(job: Job) -> dict[str, Any]:
    summary = summary_of(job)
    return {
        **outcome_of(job),
        "parts": {state.value: count for state, count in summary.states.items()},
        "rate": summary.rate,
        "seconds_left": summary.seconds_left,
        "allows": _allowed(job),
    }


def _states(states: dict[PartState, int]) -> str:
    return ", ".join(f"{count} {state.label.lower()}" for state, count in states.items() if count)

import json
import sys
from argparse import ArgumentParser, BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandError
from django.utils.functional import Promise
from pydantic.fields import ModelField
from pydantic.json import pydantic_encoder

from ami.base.access import visible_rows_of
from ami.base.commands import BAD_USAGE, FAILED, ScriptableCommand, whole_number, whole_number_from
from ami.base.json_text import JSONTextError, parse_json
from ami.base.registry import UnknownKeyError
from ami.jobs.management.tell import BLANK, outcome_of, write_outcome
from ami.jobs.management.watch import counted_interrupts, watch
from ami.jobs.models import Job
from ami.jobs.states import Outcome
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS, get_postprocessing_task
from ami.ml.post_processing.scopes import (
    SCOPE_FIELDS,
    SCOPES,
    Scope,
    options_of,
    scope_options,
    scopes_of,
)
from ami.ml.post_processing.service import LaunchRow, default_job_name, launch
from ami.ml.post_processing.validation import ConfigValidationErrors
from ami.users.commands import add_person, person_of
from ami.users.models import User

TIMED_OUT = 3
NOTHING_TO_DO = 4
MOST_SECONDS = 10**9

Method = type[BasePostProcessingTask]


class Command(ScriptableCommand):
    help = (
        "Run a post-processing method as a Job and wait for its end. Ctrl-C cancels the Job. Exit "
        "codes: 0 succeeded; 1 failed, canceled or succeeded with problems; 2 bad usage; 3 not "
        "ended within --timeout; 4 nothing to do."
    )
    blank = BLANK

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("method", nargs="?", help="the key of the method, as shown by --list")
        parser.add_argument(
            "--list", action="store_true", help="show the methods and their options"
        )
        chosen = parser.add_mutually_exclusive_group()
        for scope in SCOPES:
            noun = scope.model._meta.verbose_name
            chosen.add_argument(
                f"--{scope.flag}", type=whole_number, metavar="ID", help=f"the {noun} to run on"
            )
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="OPTION=VALUE",
            help="set an option; repeatable",
        )
        parser.add_argument("--config", metavar="FILE", help="a JSON file of options")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="write nothing: roll back every batch, keep counters and journal",
        )
        add_person(parser)
        parser.add_argument(
            "--wait", action=BooleanOptionalAction, default=True, help="wait for the end of the Job"
        )
        parser.add_argument(
            "--timeout",
            type=whole_number_from(0, MOST_SECONDS, "seconds"),
            metavar="SECONDS",
            help="stop waiting after this time with exit code 3; the Job keeps running",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options["format"] == "json"
        if options["list"]:
            self._list(_listed(options["method"]), as_json=as_json)
            return
        task_cls = _method(options["method"])
        user = person_of(options)
        scope, row = _target(task_cls, options, user)
        config = _config(task_cls, options, scope)
        target = scope_options(task_cls.config_schema, scope, [row.pk])
        with counted_interrupts() as interrupts:
            job = _launch(task_cls, row, config | target, options["dry_run"], user)
            if options["wait"]:
                watch(job, interrupts, timeout=options["timeout"], user=user)
        job.refresh_from_db()
        if as_json:
            self.write_json(outcome_of(job))
        else:
            write_outcome(job, self.stdout, self.stderr)
        if options["wait"] and job.outcome != Outcome.SUCCEEDED:
            sys.exit(self._code(job) if job.is_final or interrupts else self._time_is_up(job))

    @staticmethod
    def _code(job: Job) -> int:
        return NOTHING_TO_DO if job.outcome == Outcome.NOTHING else FAILED

    def _time_is_up(self, job: Job) -> int:
        self.stderr.write(
            f"Job {job.pk} did not end in time and keeps running; "
            f"`manage.py job show {job.pk}` shows its progress."
        )
        return TIMED_OUT

    def _list(self, methods: list[Method], *, as_json: bool) -> None:
        if as_json:
            self.write_json({"methods": [_described(task_cls) for task_cls in methods]})
            return
        for task_cls in methods:
            flags = " | ".join(f"--{scope.flag} ID" for scope in scopes_of(task_cls.config_schema))
            self.stdout.write(f"{task_cls.key} ({flags})")
            if task_cls.description:
                self.stdout.write(f"  {task_cls.description}")
            for option in options_of(task_cls.config_schema):
                default = "required" if option.required else _json(option.get_default())
                about = option.field_info.description or ""
                self.stdout.write(f"  --set {option.name}=…  [{default}]  {about}".rstrip())


def _launch(
    task_cls: Method, row: Any, config: dict[str, Any], dry_run: bool, user: User | None
) -> Job:
    rows = [LaunchRow(default_job_name(task_cls, row), row.project, config)]
    try:
        return launch(task_cls, rows, dry_run=dry_run, user=user)[0]
    except (ConfigValidationErrors, PermissionDenied) as invalid:
        raise CommandError(str(invalid), returncode=BAD_USAGE) from None


def _method(key: str | None) -> Method:
    if key is None:
        known = ", ".join(POSTPROCESSING_TASKS)
        raise CommandError(f"Give a method ({known}) or --list.", returncode=BAD_USAGE)
    try:
        return get_postprocessing_task(key)
    except UnknownKeyError as unknown:
        raise CommandError(str(unknown), returncode=BAD_USAGE) from None


def _listed(key: str | None) -> list[Method]:
    return list(POSTPROCESSING_TASKS.values()) if key is None else [_method(key)]


def _described(task_cls: Method) -> dict[str, Any]:
    """A method as JSON; `schema` is the JSON schema of its options, including its scopes."""
    return {
        "method": task_cls.key,
        "name": str(task_cls.name),
        "description": str(task_cls.description),
        "dry_run": not task_cls.has_own_run(),
        "scopes": [
            {"flag": f"--{scope.flag}", "option": _option_of(task_cls, scope)}
            for scope in scopes_of(task_cls.config_schema)
        ],
        "options": [_option(option) for option in options_of(task_cls.config_schema)],
        "schema": json.loads(_json(task_cls.config_schema.schema())),
    }


def _option_of(task_cls: Method, scope: Scope) -> str:
    """The option that takes a row of the scope."""
    (name,) = scope_options(task_cls.config_schema, scope, [1])
    return name


def _option(option: ModelField) -> dict[str, Any]:
    return {
        "name": option.name,
        "required": bool(option.required),
        "default": json.loads(_json(option.get_default())),
        "description": str(option.field_info.description or ""),
    }


def _json(value: Any) -> str:
    return json.dumps(value, default=_encode)


def _encode(value: Any) -> Any:
    """Encode what JSON does not support; texts may be lazy translations."""
    return str(value) if isinstance(value, Promise) else pydantic_encoder(value)


def _target(task_cls: Method, options: dict[str, Any], user: User | None) -> tuple[Scope, Any]:
    scopes = scopes_of(task_cls.config_schema)
    for scope in scopes:
        pk = options[scope.flag]
        if pk is None:
            continue
        noun = str(scope.model._meta.verbose_name)
        rows = visible_rows_of(scope.model, user) if user else scope.model._default_manager.all()
        row = rows.filter(pk=pk).first()
        if row is None:
            raise CommandError(f"There is no {noun} {pk}.", returncode=BAD_USAGE)
        return scope, row
    flags = " or ".join(f"--{scope.flag}" for scope in scopes)
    raise CommandError(f"{task_cls.key} needs a scope: give {flags}.", returncode=BAD_USAGE)


def _config(task_cls: Method, options: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The options from the file and from `--set`, which takes precedence."""
    config = _from_file(options["config"]) | _from_pairs(task_cls, options["set"])
    if doubled := SCOPE_FIELDS & set(config):
        raise CommandError(
            f"--{scope.flag} already gives the scope; leave out {', '.join(sorted(doubled))}.",
            returncode=BAD_USAGE,
        )
    return config


def _from_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        config = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        reason = str(fault).rstrip(".")
        raise CommandError(f"{path} cannot be read: {reason}.", returncode=BAD_USAGE) from None
    if not isinstance(config, dict):
        raise CommandError(f"{path} must hold one JSON object.", returncode=BAD_USAGE)
    return config


def _from_pairs(task_cls: Method, pairs: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise CommandError(f"--set takes OPTION=VALUE, got {pair!r}.", returncode=BAD_USAGE)
        config[name] = _value(task_cls.config_schema.__fields__.get(name), text)
    return config


def _value(option: ModelField | None, text: str) -> Any:
    """Parse a value as JSON if possible, so that numbers, lists and mappings can be given."""
    if option and option.outer_type_ is str:
        return text
    try:
        return parse_json(text)
    except JSONTextError:
        return text

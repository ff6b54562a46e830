"""The base of commands for people and scripts, with one-sentence errors and JSON output."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor

FAILED, BAD_USAGE = 1, 2


class ProjectCommand(BaseCommand):
    """A command that reports a database which is missing or not migrated in one sentence.

    It then ends with the exit code `could_not_run`.
    """

    could_not_run = FAILED

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except OperationalError as fault:
            raise self._refusal(f"The database is not available: {fault}") from fault
        except ProgrammingError as fault:
            if missing := missing_migrations():
                raise self._refusal(missing) from fault
            raise

    def _refusal(self, sentence: str) -> CommandError:
        return CommandError(" ".join(sentence.split()), returncode=self.could_not_run)


class ScriptableCommand(ProjectCommand):
    """A command with `--format json`, whose errors are one sentence on stderr.

    `blank` has the other keys of the JSON output for an error; the sentence is in "error".
    """

    blank: dict[str, Any] = {}

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, allow_abbrev=False, **kwargs)
        parser.error = _refuse  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--format",
            choices=["text", "json"],
            default="text",
            help="how the result is printed (default text)",
        )

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except CommandError as refusal:  # of the command line itself
            self._end(refusal, as_json=_asks_for_json(argv))

    def execute(self, *args: Any, **options: Any) -> Any:
        if not getattr(self, "_called_from_command_line", False) or options["traceback"]:
            return super().execute(*args, **options)
        try:
            return super().execute(*args, **options)
        except SystemCheckError:
            raise
        except CommandError as refusal:
            self._end(refusal, as_json=options["format"] == "json")
        except KeyboardInterrupt:
            self._end(CommandError("Interrupted."), as_json=options["format"] == "json")

    def write_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value))

    def _end(self, refusal: CommandError, *, as_json: bool) -> NoReturn:
        sentence = " ".join(str(refusal).split())
        if as_json:
            self.write_json({**self.blank, "error": sentence})
        self.stderr.write(sentence)
        sys.exit(refusal.returncode)


def missing_migrations() -> str:
    """Return a sentence about migrations that were not applied, or "" if all were."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not missing:
        return ""
    if not executor.loader.applied_migrations:
        return "The database has no tables of this project. Run `manage.py migrate` first."
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in missing)
    return f"The database lacks these migrations: {names}. Run `manage.py migrate` first."


def whole_number(text: str) -> int:
    """Parse a number on the command line. Raises ArgumentTypeError."""
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a whole number, got {text[:50]!r}") from None


def whole_number_from(low: int, high: int, unit: str = "") -> Callable[[str], int]:
    """Return a parser for whole numbers in a range, which includes both ends."""

    def parse(text: str) -> int:
        number = whole_number(text)
        if not low <= number <= high:
            allowed = f"{low} to {high} {unit}".rstrip()
            raise ArgumentTypeError(f"must be from {allowed}, got {text[:50]}")
        return number

    return parse


def _refuse(message: str) -> NoReturn:
    raise CommandError(f"{message[:1].upper()}{message[1:].rstrip('.')}.", returncode=BAD_USAGE)


def _asks_for_json(argv: Sequence[str]) -> bool:
    """Whether a command line that could not be parsed asks for JSON output."""
    return "--format=json" in argv or ("--format", "json") in pairwise(argv)

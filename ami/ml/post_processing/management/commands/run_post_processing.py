import json
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from ami.base.registry import UnknownKeyError
from ami.jobs.models import Job
from ami.jobs.states import JobState
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS, get_postprocessing_task
from ami.ml.post_processing.scopes import SCOPES, Scope, options_of, scopes_of
from ami.ml.post_processing.service import LaunchRow, default_job_name, launch
from ami.ml.post_processing.validation import ConfigValidationErrors

FAILED, BAD_USAGE = 1, 2
POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Run a post-processing method as a Job. Exit code: 0 succeeded, 1 failed or skipped rows, "
        "2 bad usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("method", nargs="?", help="the method's key; --list shows them")
        parser.add_argument("--list", action="store_true", help="show the methods and options")
        chosen = parser.add_mutually_exclusive_group()
        for scope in SCOPES:
            noun = scope.model._meta.verbose_name
            chosen.add_argument(f"--{scope.flag}", type=int, metavar="ID", help=f"the {noun}")
        parser.add_argument(
            "--set", action="append", default=[], metavar="OPTION=VALUE", help="set an option"
        )
        parser.add_argument("--config", metavar="FILE", help="a JSON file of options")
        parser.add_argument(
            "--no-wait", dest="wait", action="store_false", help="leave once the Job is queued"
        )
        parser.add_argument("--format", choices=["text", "json"], default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        task_cls = _method(options["method"])
        scope, row = _target(task_cls, options)
        config = _from_file(options["config"]) | _from_pairs(options["set"])
        config[scope.field] = row.pk
        try:
            (job,) = launch(
                task_cls,
                [LaunchRow(default_job_name(row, task_cls), row.project, config)],
            )
        except ConfigValidationErrors as invalid:
            raise CommandError(str(invalid), returncode=BAD_USAGE) from None
        if options["wait"]:
            _wait(job)
        job.refresh_from_db()
        self._tell(job, as_json=options["format"] == "json")
        if options["wait"] and (job.status != JobState.SUCCESS or job.progress.skipped):
            sys.exit(FAILED)

    def _list(self) -> None:
        for task_cls in POSTPROCESSING_TASKS.values():
            flags = " | ".join(f"--{scope.flag} ID" for scope in scopes_of(task_cls.config_schema))
            self.stdout.write(f"{task_cls.key} ({flags})")
            if task_cls.description:
                self.stdout.write(f"  {task_cls.description}")
            for option in options_of(task_cls.config_schema):
                default = "required" if option.required else json.dumps(option.get_default())
                about = option.field_info.description or ""
                self.stdout.write(f"  --set {option.name}=…  [{default}]  {about}".rstrip())

    def _tell(self, job: Job, *, as_json: bool) -> None:
        figures = {
            param.name: param.value for stage in job.progress.stages for param in stage.params
        }
        if as_json:
            outcome = {
                "job": job.pk,
                "status": job.status,
                "error": job.error,
                "skipped": job.progress.skipped,
                "figures": figures,
            }
            self.stdout.write(json.dumps(outcome))
            return
        self.stdout.write(f"Job {job.pk}: {job.get_status_display()}.")
        if job.error:
            self.stderr.write(job.error)
        for name, value in figures.items():
            self.stdout.write(f"  {name}: {value}")


def _method(key: str | None) -> type[BasePostProcessingTask]:
    try:
        return get_postprocessing_task(key or "")
    except UnknownKeyError as unknown:
        raise CommandError(str(unknown), returncode=BAD_USAGE) from None


def _target(task_cls: type[BasePostProcessingTask], options: dict[str, Any]) -> tuple[Scope, Any]:
    scopes = scopes_of(task_cls.config_schema)
    for scope in scopes:
        pk = options[scope.flag]
        if pk is None:
            continue
        noun = str(scope.model._meta.verbose_name)
        row = scope.model._default_manager.filter(pk=pk).first()
        if row is None:
            raise CommandError(f"There is no {noun} {pk}.", returncode=BAD_USAGE)
        return scope, row
    flags = " or ".join(f"--{scope.flag}" for scope in scopes)
    raise CommandError(f"{task_cls.key} runs on {flags}; give one.", returncode=BAD_USAGE)


def _from_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise CommandError(f"{path} cannot be read: {fault}.", returncode=BAD_USAGE) from None
    if not isinstance(config, dict):
        raise CommandError(f"{path} must hold one JSON object.", returncode=BAD_USAGE)
    return config


def _from_pairs(pairs: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for pair in pairs:
        option, equals, text = pair.partition("=")
        if not (option and equals):
            raise CommandError(f"--set takes OPTION=VALUE, got {pair!r}.", returncode=BAD_USAGE)
        try:
            config[option] = json.loads(text)
        except ValueError:
            config[option] = text
    return config


def _wait(job: Job) -> None:
    """Until the Job has ended; Ctrl-C cancels it, and waits for that."""
    told = ""
    with tqdm(total=100, unit="%", disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
        while not job.is_final:
            try:
                time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:
                job.cancel()
            job.refresh_from_db()
            bar.update(round(job.progress.fraction * 100) - bar.n)
            if job.error and job.error != told:
                told = job.error
                tqdm.write(told, file=sys.stderr)

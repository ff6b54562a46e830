from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from pydantic import ValidationError
from tqdm import tqdm

from ami.base.audit import Kind, record
from ami.base.commands import BAD_USAGE, ScriptableCommand, whole_number
from ami.exchange.export.registry import FORMATS, ExportError, ExportOptions, parse_options
from ami.exchange.export.run import Written, write_file
from ami.exchange.export.scope import Scope
from ami.exchange.work import EXPORT
from ami.main.models import Event, Project, SourceImageCollection
from ami.users.commands import add_person, person_of, require_rights
from ami.users.models import User


class Command(ScriptableCommand):
    help = "Write the rows of a project, a capture set or a night to a file."
    blank = {"file": "", "problems": [], "problems_file": ""}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("to", metavar="FORMAT", choices=list(FORMATS), help=", ".join(FORMATS))
        parser.add_argument(
            "--project",
            type=whole_number,
            required=True,
            metavar="ID",
            help="the project whose rows are written",
        )
        limits = parser.add_mutually_exclusive_group()
        limits.add_argument(
            "--collection", type=whole_number, metavar="ID", help="only this capture set"
        )
        limits.add_argument("--event", type=whole_number, metavar="ID", help="only this night")
        parser.add_argument(
            "-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write"
        )
        parser.add_argument(
            "--media-url", default="", help="an address to put before relative paths of pictures"
        )
        super().add_arguments(parser)
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        project, scope = _scope(options)
        require_rights(user, EXPORT, row=project)
        form = FORMATS[options["to"]]
        try:
            # `disable=None` shows the bar only on a terminal.
            with tqdm(unit=" rows", disable=None) as bar:

                def advance(done: int, total: int) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                written = write_file(
                    form, scope, _options(options), options["output"], on_progress=advance
                )
        except ExportError as refused:
            raise CommandError(str(refused)) from None
        _record(project, user, f"Exported as {form.name}.")
        self._tell(written, as_json=options["format"] == "json")

    def _tell(self, written: Written, *, as_json: bool) -> None:
        listed = str(written.problems_path or "")
        if as_json:
            told = {"file": str(written.path), "problems": written.problems}
            self.write_json({**told, "problems_file": listed, "error": ""})
            return
        for sentence in written.problems:
            self.stderr.write(sentence)
        if listed:
            self.stderr.write(f"{listed} lists each row.")
        self.stdout.write(f"Wrote {written.path} ({written.path.stat().st_size:,} bytes).")


def _options(options: dict[str, Any]) -> ExportOptions:
    try:
        return parse_options({"media_url": options["media_url"]})
    except ValidationError as invalid:
        (fault, *_) = invalid.errors()
        raise CommandError(
            f"--media-url {fault['msg']}, got {options['media_url'][:60]!r}.", returncode=BAD_USAGE
        ) from None


def _scope(options: dict[str, Any]) -> tuple[Project, Scope]:
    """Raises CommandError if a row does not exist, or is of another project."""
    project = Project.objects.filter(pk=options["project"]).first()
    if project is None:
        raise CommandError(
            f"There is no project with the id {options['project']}.", returncode=BAD_USAGE
        )
    for name, model in (("collection", SourceImageCollection), ("event", Event)):
        pk = options[name]
        rows: Any = model.objects.filter(pk=pk, project=project)
        if pk is not None and not rows.exists():
            raise CommandError(
                f"Project {project.name!r} has no {model._meta.verbose_name} with the id {pk}.",
                returncode=BAD_USAGE,
            )
    return project, Scope(
        project.pk, collection_id=options["collection"], event_id=options["event"]
    )


def _record(project: Project, user: User | None, message: str) -> None:
    record([project], kind=Kind.EXPORT, user=user, message=message)

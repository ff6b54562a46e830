import sys
from argparse import ArgumentParser, BooleanOptionalAction
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from tqdm import tqdm

from ami.base.commands import ScriptableCommand
from ami.base.words import counted
from ami.exchange.base import ImportRefusedError, option_name
from ami.exchange.importing.options import ATOMIC_BELOW, Boxes, ImportOptions
from ami.exchange.importing.parents import find_project
from ami.exchange.importing.rights import OF_PROJECT, SHARED
from ami.exchange.importing.service import import_here, new_import
from ami.exchange.importing.work import ImportWork
from ami.exchange.plan import ImportPlan, Outcome, add_plan_options
from ami.exchange.reading.registry import READERS, reader_of
from ami.jobs.engine.here import cancel_waiting, must_wait
from ami.jobs.models import Job
from ami.jobs.states import JobState
from ami.main.models import Detection, Occurrence, Project, SourceImage, Taxon
from ami.users.commands import add_person, person_of, require_rights
from ami.users.models import User


class Command(ScriptableCommand):
    help = (
        "Load occurrences or detections, in any format that can be read. It adds what is new, and "
        "lists what differs. Loading a file again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="the file, archive or folder")
        parser.add_argument(
            "--project", required=True, help="name of the project; it is created if necessary"
        )
        parser.add_argument(
            "--from",
            dest="reader",
            choices=list(READERS),
            default="",
            metavar="FORMAT",
            help="refuse the file unless it has this format; by default, any of them is "
            f"recognised: {', '.join(READERS)}",
        )
        parser.add_argument(
            "--deployment", help="name of the deployment, instead of the names in the file"
        )
        parser.add_argument(
            "--boxes",
            type=Boxes,
            choices=[one for one in Boxes if one],
            default=Boxes.AS_WRITTEN,
            help="what the four numbers of a box are, if they are not what the format says: "
            "corners in pixels, corners as fractions of the capture, or x, y, width and height in "
            "pixels; with `whole`, boxes are as the format says, and an observation without a box "
            "that is alone on its picture gets one of the whole picture",
        )
        parser.add_argument(
            "--media",
            default="",
            help="a folder, an address, or s3://bucket/prefix, below which the captures lie; sizes "
            "that are not in the file are read from them",
        )
        parser.add_argument(
            "--atomic",
            action=BooleanOptionalAction,
            help="write all or nothing, in one transaction; the default for files with fewer than "
            f"{ATOMIC_BELOW:,} detections",
        )
        add_plan_options(parser)
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        _require_rights(user, options["project"])
        try:
            job, plan = self._import(user, options)
        except ImportRefusedError as error:
            raise CommandError(str(error)) from None
        if must_wait(job):
            raise CommandError(f"Nothing was imported. {cancel_waiting(job)}")
        if job.status != JobState.SUCCESS:
            raise CommandError(job.error)
        if options["format"] == "json":
            written = plan.writes and not job.dry_run
            self.write_json({**plan.as_json(), "job": job.pk, "written": written})
            return
        for line in plan.lines():
            self.stdout.write(line)
        self.stdout.write(_summary(plan, job))

    def _import(self, user: User | None, options: dict[str, Any]) -> tuple[Job, ImportPlan]:
        name = option_name("--project", options["project"])
        deployment = options["deployment"]
        if deployment is not None:
            deployment = option_name("--deployment", deployment)
        job = new_import(
            reader_of(options["file"], key=options["reader"]),
            ImportOptions(
                deployment=deployment or "",
                boxes=options["boxes"],
                media=options["media"],
                update=options["update"],
                atomic=options["atomic"],
            ),
            name=options["file"].name,
            project=find_project(name),
            project_name=name,
            user=user,
            dry_run=options["dry_run"],
        )
        # `disable=None` shows the bar only on a terminal.
        with tqdm(unit=" occurrences", disable=None) as bar:

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done)

            def tell(sentence: str) -> None:
                tqdm.write(sentence, file=sys.stderr)

            make = partial(ImportWork, on_items=advance, on_wait=tell)
            return job, import_here(job, options["file"], make)


def _summary(plan: ImportPlan, job: Job) -> str:
    if job.dry_run:
        return "This was a dry run; nothing was written."
    project = job.params["project"]
    if not plan.writes:
        if plan.total(Outcome.DIFFERS, Outcome.CONTRADICTION):
            return "See the differences and contradictions above; nothing was changed."
        return f"Project {project!r} already contains all rows; nothing was changed."
    created = plan.counts[Outcome.CREATED]
    changed = plan.total(Outcome.CHANGED)
    also = f", {counted(changed, 'changed row')}" if changed else ""
    into = "new project" if created[Project] else "project"
    return (
        f"Imported into {into} {project!r}: {counted(created[Occurrence], 'occurrence')}, "
        f"{counted(created[Detection], 'detection')}, {counted(created[SourceImage], 'capture')}, "
        f"{counted(created[Taxon], 'new taxon', 'new taxa')}{also}. "
        f"To undo it, revert Job {job.pk}."
    )


def _require_rights(user: User | None, project: str) -> None:
    require_rights(user, *SHARED)
    known = list(Project.objects.filter(name=project.strip()))
    for one in known:
        require_rights(user, *OF_PROJECT, row=one)
    if not known:
        require_rights(user, "main.add_project")

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ami.base.commands import ProjectCommand
from ami.exchange.base import ImportRefusedError
from ami.main.management.demo.project import PROJECT, create_demo_project
from ami.main.models import Detection


class Command(ProjectCommand):
    help = (
        "Create the demo project with two traps, three nights and drawn moths. If it exists, "
        "nothing is changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--seed",
            type=int,
            default=2024,
            help="seed of the random numbers; the same seed creates the same project",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["seed"] < 0:
            raise CommandError(f"--seed must be 0 or more, got {options['seed']}.")
        try:
            project = create_demo_project(seed=options["seed"])
        except ImportRefusedError as error:
            raise CommandError(str(error)) from None
        if project is None:
            self.stdout.write(f"Project {PROJECT!r} already exists; nothing was changed.")
            return
        detections = Detection.objects.filter(source_image__project=project)
        self.stdout.write(
            f"Created project {PROJECT!r}: {project.captures.count()} captures, "
            f"{detections.count()} detections, {project.occurrences.count()} occurrences."
        )

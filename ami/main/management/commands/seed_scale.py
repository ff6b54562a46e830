from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError
from django.db import connection

from ami.base.commands import ProjectCommand
from ami.main.management.scale import Sizes, seed
from ami.main.models import Occurrence


class Command(ProjectCommand):
    help = "Fill the database with millions of synthetic rows for measurements."

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name, size in asdict(Sizes()).items():
            parser.add_argument(
                f"--{name}", type=int, default=size, metavar="N", help=f"default {size}"
            )
        parser.add_argument(
            "--scale", type=float, default=1.0, help="multiplies every size (default 1)"
        )
        parser.add_argument(
            "--force", action="store_true", help="add rows even if the database has occurrences"
        )

    def handle(self, *, scale: float, force: bool, **options: Any) -> None:
        try:
            sizes = Sizes(**{name: options[name] for name in asdict(Sizes())}).scaled(scale)
        except ValueError as error:
            raise CommandError(str(error)) from None
        if not force and Occurrence.objects.exists():
            raise CommandError(
                f"Database {connection.settings_dict['NAME']!r} already contains occurrences; use "
                "an empty one, or pass --force to add the synthetic rows."
            )
        seed(sizes, report=self.stdout.write)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        self.stdout.write(self.style.SUCCESS("Seeded."))

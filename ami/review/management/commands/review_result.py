from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ami.base.commands import BAD_USAGE, ScriptableCommand, whole_number
from ami.review.models import Sample
from ami.review.results import Group, result_of
from ami.review.words import as_json, headline, interval, notes, percent
from ami.users.commands import add_person, person_of


class Command(ScriptableCommand):
    help = "Show the result of a sample that people judge, as far as it was answered."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "sample", type=whole_number, metavar="SAMPLE", help="the id of the sample"
        )
        parser.add_argument(
            "--json",
            dest="format",
            action="store_const",
            const="json",
            help="the same as --format json",
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user, pk = person_of(options), options["sample"]
        samples = Sample.objects.for_user(user) if user else Sample.objects.all()
        sample = samples.filter(pk=pk).first()
        if sample is None:
            raise CommandError(f"There is no sample {pk}.", returncode=BAD_USAGE)
        result = result_of(sample)
        if options["format"] == "json":
            self.write_json(as_json(result) | {"error": ""})
            return
        for sentence in (headline(result), *notes(result)):
            self.stdout.write(sentence)
        for title, groups in (
            ("By taxon", result.by_taxon),
            ("By score", result.by_score),
            ("By run", result.by_run),
        ):
            if groups:
                self.stdout.write(f"{title}:")
            for group in groups:
                self.stdout.write(f"  {_line(group)}")


def _line(group: Group) -> str:
    share = group.estimate
    few = ", too few" if share.too_few else ""
    counts = f"{group.right:,} of {share.n:,} right"
    return f"{group.name}: {counts}, {percent(share.share)} ({interval(share)}{few})"

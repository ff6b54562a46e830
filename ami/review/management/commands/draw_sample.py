from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError

from ami.base.commands import BAD_USAGE, ScriptableCommand, whole_number, whole_number_from
from ami.base.storable import storable_text
from ami.review.drawing import (
    DOUBLE,
    HIGHEST_SEED,
    Design,
    draw,
    proposed_name,
    proposed_seed,
    proposed_size,
)
from ami.review.models import Sample
from ami.review.populations import DrawingRefusedError, Origin, find_origin
from ami.review.strata import strata_of
from ami.users.commands import add_person, person_of

ROWS = ("job", "collection", "event")


class Command(ScriptableCommand):
    help = (
        "Draw a random sample of occurrences for people to judge. Exit codes: 0 drawn; 1 refused; "
        "2 bad usage."
    )
    blank = {"sample": None}

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        _add_sources(parser)
        parser.add_argument(
            "--size",
            type=whole_number,
            metavar="N",
            help="number of occurrences (default: what a share of 90 %% ± 5 %% needs)",
        )
        parser.add_argument(
            "--strata",
            choices=[one for one in Sample.Strata.values if one],
            help="draw the same number from each band of scores, from each taxon, or from what the "
            "run changed and what it left unchanged",
        )
        parser.add_argument(
            "--seed",
            type=whole_number_from(0, HIGHEST_SEED),
            metavar="N",
            help="draw the same sample again (default: a random number)",
        )
        parser.add_argument(
            "--double",
            type=_share,
            default=DOUBLE,
            metavar="SHARE",
            help=f"share that two people judge (default {DOUBLE})",
        )
        parser.add_argument("--name", help="default: what the sample is drawn from, and the date")
        parser.add_argument(
            "--show-names",
            action="store_true",
            help="show the determinations to the people; by default, they are hidden",
        )
        parser.add_argument(
            "--judgements-only",
            action="store_true",
            help="answers do not become identifications",
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            origin = _origin(options)
            sample = draw(origin, _design(origin, options))
        except DrawingRefusedError as refused:
            raise CommandError(str(refused)) from None
        items = sample.items.count()
        if options["format"] == "json":
            told = {"items": items, "population": sample.population, "seed": sample.seed}
            self.write_json({"sample": sample.pk, "name": sample.name, **told, "error": ""})
        else:
            self.stdout.write(
                f"Sample {sample.pk}: drew {items:,} of {sample.population:,} occurrences "
                f"with the seed {sample.seed}."
            )


def _add_sources(parser: ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--job", type=whole_number, metavar="ID", help="draw from the changes of this Job"
    )
    source.add_argument(
        "--collection", type=whole_number, metavar="ID", help="draw from this capture set"
    )
    source.add_argument("--event", type=whole_number, metavar="ID", help="draw from this night")
    source.add_argument(
        "--occurrences",
        metavar="FILTER",
        help="draw from what the list of occurrences shows at this address, such as "
        "'determination_score__lte=0.5'; needs --project",
    )
    parser.add_argument("--project", type=whole_number, metavar="ID", help="draw from this project")


def _origin(options: dict[str, Any]) -> Origin:
    """Raises CommandError and DrawingRefusedError."""
    user, project, query = person_of(options), options["project"], options["occurrences"]
    if query is not None:
        return find_origin(
            Sample.Source.OCCURRENCES, query=query.removeprefix("?"), project_id=project, user=user
        )
    for source in ROWS:
        if (pk := options[source]) is not None:
            return find_origin(source, source_id=pk, user=user)
    if project is None:
        flags = ", ".join(f"--{source}" for source in (*ROWS, "occurrences", "project"))
        raise CommandError(f"One of {flags} must be given.", returncode=BAD_USAGE)
    return find_origin(Sample.Source.PROJECT, source_id=project, user=user)


def _design(origin: Origin, options: dict[str, Any]) -> Design:
    """Raises DrawingRefusedError."""
    strata = Sample.Strata(options["strata"] or "")
    size, seed = options["size"], options["seed"]
    if size is None:
        population = strata_of(origin.population(strata), strata)
        size = proposed_size(sum(stratum.population for stratum in population))
    return Design(
        name=storable_text(options["name"] or proposed_name(origin))[:200],
        size=size,
        seed=proposed_seed() if seed is None else seed,
        strata=strata,
        double=options["double"],
        blind=not options["show_names"],
        identifies=not options["judgements_only"],
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise ArgumentTypeError(f"must be from 0 to 1, got {text[:50]!r}")
    return share

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ami.base.access import visible_rows_of
from ami.base.commands import BAD_USAGE, ScriptableCommand, whole_number_from
from ami.base.ids import MAX_ID
from ami.main.models import Project, TaxaList
from ami.ml.models import Algorithm, Calibration
from ami.review.calibration.fitting import Fitted, fit
from ami.review.calibration.parts import CannotCalibrateError
from ami.review.drawing import HIGHEST_SEED
from ami.users.commands import add_person, person_of, require_rights, require_superuser
from ami.users.models import User


class Command(ScriptableCommand):
    help = "Calibrate the scores of an algorithm by the independent answers of people."
    blank = {"calibrations": [], "refusals": {}}

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("algorithm", metavar="ALGORITHM", help="the id or key of the algorithm")
        parser.add_argument("--project", type=int, help="use the answers of this project only")
        parser.add_argument(
            "--target", type=float, default=0.95, help="wanted accuracy (default 0.95)"
        )
        parser.add_argument(
            "--taxa-list", type=int, help="also fit the limit of class masking by this list"
        )
        parser.add_argument(
            "--seed",
            type=whole_number_from(0, HIGHEST_SEED),
            default=0,
            help="decides which half is used to fit",
        )
        parser.add_argument("--dry-run", action="store_true", help="store nothing")
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = person_of(options)
        project = _project(options["project"], user)
        if not 0 < options["target"] < 1:
            raise CommandError("--target must be between 0 and 1.", returncode=BAD_USAGE)
        try:
            found = fit(
                _algorithm(options["algorithm"]),
                project,
                target=options["target"],
                seed=options["seed"],
                taxa_list=_taxa_list(options["taxa_list"], user),
            )
        except CannotCalibrateError as reason:
            raise CommandError(str(reason)) from reason
        for one in found.calibrations:
            one.author = user
            if not options["dry_run"]:
                one.save()
        self._tell(found, as_json=options["format"] == "json")

    def _tell(self, found: Fitted, *, as_json: bool) -> None:
        if as_json:
            rows = [_described(one) for one in found.calibrations]
            self.write_json({"calibrations": rows, "refusals": found.refusals, "error": ""})
            return
        for one in found.calibrations:
            self.stdout.write(f"{one}, fitted to {one.n_fit:,} of {one.scope}:")
            for sentence in (*one.sentences(), *one.of_taxa):
                self.stdout.write(f"  {sentence}")
        for kind, reason in found.refusals.items():
            self.stdout.write(f"{Calibration.Kind(kind).label}: {reason}")


def _described(one: Calibration) -> dict[str, Any]:
    names = ("kind", "parameters", "target", "n_fit", "n_report", "results", "scope", "seed")
    return {"calibration": one.pk, **{name: getattr(one, name) for name in names}}


def _algorithm(text: str) -> Algorithm:
    """Raises CommandError if there is no such algorithm."""
    is_id = text.isdecimal() and int(text) <= MAX_ID
    rows = Algorithm.objects.filter(**({"pk": int(text)} if is_id else {"key": text}))
    if (found := rows.select_related("category_map").first()) is None:
        raise CommandError(f"There is no algorithm {text!r}.", returncode=BAD_USAGE)
    return found


def _taxa_list(pk: int | None, user: User | None) -> TaxaList | None:
    """Raises CommandError if there is no such list, or the user may not see it."""
    if pk is None:
        return None
    rows = visible_rows_of(TaxaList, user) if user else TaxaList.objects.all()
    if (found := rows.filter(pk=pk).first() if 0 < pk <= MAX_ID else None) is None:
        raise CommandError(f"There is no taxa list {pk}.", returncode=BAD_USAGE)
    return found


def _project(pk: int | None, user: User | None) -> Project | None:
    """Raises CommandError if there is no such project, or the user may not calibrate by it."""
    if pk is None:
        require_superuser(user)
        return None
    rows = visible_rows_of(Project, user) if user else Project.objects.all()
    if (found := rows.filter(pk=pk).first() if 0 < pk <= MAX_ID else None) is None:
        raise CommandError(f"There is no project {pk}.", returncode=BAD_USAGE)
    require_rights(user, "ml.add_calibration", row=found)
    return found

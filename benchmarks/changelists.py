"""The five long lists of the admin, at full size and with a hundredth of the rows."""

from collections.abc import Callable
from functools import partial

from django.contrib.admin.views.main import ChangeList
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from django.urls import reverse

from ami.main.management.scale import Sizes
from ami.users.models import User
from benchmarks import databases
from benchmarks.report import Figure
from benchmarks.timing import QueryCounter, interleaved, timed

TITLE = "Lists of the admin"
ROUNDS = 25
WARM_UP = 3
LISTS = {
    "captures": "sourceimage",
    "detections": "detection",
    "classifications": "classification",
    "occurrences": "occurrence",
    "capture sets": "sourceimagecollection",
}
EMAIL = "bench@example.org"


class Site:
    """The admin on one database, signed in."""

    def __init__(self, name: str) -> None:
        self.database: BaseDatabaseWrapper = databases.connect(name)
        with databases.using(self.database):
            user = User.objects.filter(email=EMAIL).first()
            self.client = Client()
            self.client.force_login(user or User.objects.create_superuser(EMAIL))

    def get(self, path: str) -> ChangeList:
        """Fetch a list; raises RuntimeError where it is not shown."""
        with databases.using(self.database):
            response = self.client.get(path)
        if response.context_data is None:
            raise RuntimeError(f"{path} answers {response.status_code}.")
        changelist: ChangeList = response.context_data["cl"]
        return changelist

    def full_page(self, path: str, page: int) -> str:
        """The path of this page, or of the last full one where there are fewer."""
        pages = self.get(path).paginator.num_pages
        return f"{path}?p={page if page <= pages else max(pages - 1, 1)}"

    def queries(self, path: str) -> int:
        with databases.using(self.database), QueryCounter() as counter:
            self.get(path)
        return counter.count


def run(*, quick: bool) -> list[Figure]:
    sizes = Sizes().scaled(0.01) if quick else Sizes()
    full = databases.seeded("quick_full" if quick else "full", sizes)
    part = databases.seeded("quick_hundredth" if quick else "hundredth", sizes.scaled(0.01))
    sites = [Site(full), Site(part)]
    try:
        return [
            figure
            for name, model in LISTS.items()
            for page in (1, 100)
            for figure in _compare(name, model, sites, page=page, rounds=1 if quick else ROUNDS)
        ]
    finally:
        for site in sites:
            site.database.close()
        if quick:
            databases.drop(full)
            databases.drop(part)


def _compare(name: str, model: str, sites: list[Site], *, page: int, rounds: int) -> list[Figure]:
    list_path = reverse(f"admin:main_{model}_changelist")
    paths = [site.full_page(list_path, page) for site in sites]
    measures: dict[str, Callable[[], float]] = {
        label: partial(timed, partial(site.get, path))
        for label, site, path in zip(("full", "part"), sites, paths, strict=True)
    }
    interleaved(measures, rounds=WARM_UP)
    seconds = interleaved(measures, rounds=rounds)
    full, part = seconds["full"], seconds["part"]
    number = paths[0].partition("=")[2]
    return [
        Figure(f"{name}, page {number}: queries", sites[0].queries(paths[0]), at_most=10),
        Figure(f"{name}, page {number}: full size", 1000 * full, "ms"),
        Figure(f"{name}, page {number}: full size ÷ a hundredth", full / part, at_most=1.5),
    ]

"""The long lists of the admin with searches and filters, at full size and at 1% of the rows."""

from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlencode

from django.contrib.admin.views.main import ChangeList
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count
from django.test import Client
from django.urls import reverse

from ami.main.management.scale import Sizes
from ami.main.models import SourceImageCollection
from ami.users.models import User
from benchmarks import databases
from benchmarks.report import Figure
from benchmarks.timing import QueryCounter, interleaved, timed

TITLE = "Lists of the admin"
ROUNDS = 25
WARM_UP = 3
LISTS = {
    "captures": "main_sourceimage",
    "detections": "main_detection",
    "classifications": "main_classification",
    "occurrences": "main_occurrence",
    "identifications": "main_identification",
    "capture sets": "main_sourceimagecollection",
}
# For each list: a frequent name, a rare name, prefixes of paths, and a text without matches.
NAMES = ("Seeded species 1", "seeded SPECIES 97", "common moth 9", "a", "nothing")
PATHS = ("seed/12", "seed/9999/7.jpg", "7.JPG", "nothing")
SEARCHES = {
    "main_occurrence": NAMES,
    "main_classification": NAMES,
    "main_taxon": NAMES,
    "main_sourceimage": PATHS,
    "main_detection": PATHS,
    "main_sourceimagecollection": ("Night 12", "nothing"),
    "main_deployment": ("trap 12", "nothing"),
    "main_event": ("2022-06-12", "trap 12"),
    "jobs_job": ("run 12", "nothing"),
}
FILTERS: dict[str, tuple[dict[str, str], ...]] = {
    "main_occurrence": (
        {"determination_score__gte": "0.9"},
        {"determination_score__gte": "0.5", "determination_score__lte": "0.501"},
        {"night_from": "2022-06-12", "night_to": "2022-06-13"},
        {"identified": "yes"},
        {"identified": "no"},
        {"deployment__id__exact": "7"},
        {"run": "7"},
        {"algorithm": "1"},
        {"algorithm": "999"},
        {"taxa_list": "1"},
        {"q": "Seeded species 1", "deployment__id__exact": "7", "determination_score__gte": "0.5"},
    ),
    "main_classification": (
        {"score__gte": "0.9"},
        {"timestamp__gte": "2022-06-12", "timestamp__lt": "2022-06-13"},
        {"job__id__exact": "7"},
        {"detection__source_image__deployment__id__exact": "7"},
    ),
    "main_detection": (
        {"detection_score__gte": "0.9"},
        {"timestamp__gte": "2022-06-12", "timestamp__lt": "2022-06-13"},
        {"source_image__deployment__id__exact": "7"},
        {"q": "seed/12", "detection_score__gte": "0.9"},
    ),
    "main_sourceimage": (
        {"timestamp__gte": "2022-06-12", "timestamp__lt": "2022-06-13"},
        {"q": "7.", "deployment__id__exact": "300"},
        {"deployment__id__exact": "7"},
    ),
}
EMAIL = "bench@example.org"


class Site:
    """The admin on one database, signed in."""

    def __init__(self, name: str) -> None:
        self.database: BaseDatabaseWrapper = databases.connect(name)
        self.database.settings_dict["OPTIONS"] |= {
            "options": "-c max_parallel_workers_per_gather=0"
        }
        with databases.using(self.database):
            user = User.objects.filter(email=EMAIL).first()
            self.client = Client()
            self.client.force_login(user or User.objects.create_superuser(EMAIL))

    def get(self, path: str) -> ChangeList:
        """Fetch a list; raises RuntimeError if it is not shown."""
        with databases.using(self.database):
            response = self.client.get(path)
        if response.context_data is None:
            raise RuntimeError(f"{path} answers {response.status_code}.")
        changelist: ChangeList = response.context_data["cl"]
        return changelist

    def full_page(self, path: str, page: int) -> str:
        """The path of this page, or of the last full page if there are fewer pages."""
        pages = self.get(path).paginator.num_pages
        return f"{path}?p={page if page <= pages else max(pages - 1, 1)}"

    def seconds(self, path: str) -> float:
        """The CPU time that the list takes."""
        with databases.using(self.database):
            return timed(partial(self.get, path)).cpu

    def confirmation(self, method: str, ids: list[int]) -> float:
        """The CPU time of the page on which the method is confirmed for these capture sets."""
        data = {"action": f"run_{method}", "_selected_action": ids}
        path = reverse("admin:main_sourceimagecollection_changelist")
        with databases.using(self.database):
            return timed(partial(self.client.post, path, data)).cpu

    def queries(self, path: str) -> int:
        with databases.using(self.database), QueryCounter() as counter:
            self.get(path)
        return counter.count


def run(*, quick: bool) -> list[Figure]:
    sizes = Sizes().scaled(0.01) if quick else Sizes()
    full = databases.seeded("quick_full" if quick else "full", sizes)
    part = databases.seeded("quick_hundredth" if quick else "hundredth", sizes.scaled(0.01))
    sites = [Site(full), Site(part)]
    rounds = 1 if quick else ROUNDS
    try:
        return [
            *(
                figure
                for name, model in LISTS.items()
                for page in (1, 100)
                for figure in _compare(name, model, sites, page=page, rounds=rounds)
            ),
            *(figure for found in _found(sites[0], rounds=rounds) for figure in found),
            *_confirmed(sites[0], rounds=rounds),
        ]
    finally:
        for site in sites:
            site.database.close()
        if quick:
            databases.drop(full)
            databases.drop(part)


def _compare(name: str, model: str, sites: list[Site], *, page: int, rounds: int) -> list[Figure]:
    list_path = reverse(f"admin:{model}_changelist")
    paths = [site.full_page(list_path, page) for site in sites]
    measures: dict[str, Callable[[], float]] = {
        label: partial(site.seconds, path)
        for label, site, path in zip(("full", "part"), sites, paths, strict=True)
    }
    interleaved(measures, rounds=WARM_UP)
    seconds = interleaved(measures, rounds=rounds)
    full, part = seconds["full"], seconds["part"]
    number = paths[0].partition("=")[2]
    return [
        Figure(f"{name}, page {number}: queries", sites[0].queries(paths[0]), at_most=10),
        Figure(f"{name}, page {number}: full size", 1000 * full, "ms", at_most=45),
        Figure(f"{name}, page {number}: full size ÷ a hundredth", full / part, at_most=1.5),
    ]


def _found(site: Site, *, rounds: int) -> Iterator[list[Figure]]:
    """Measure each search and each filter at full size."""
    asked: list[tuple[str, dict[str, str]]] = [
        *((model, {"q": term}) for model, terms in SEARCHES.items() for term in terms),
        *((model, query) for model, queries in FILTERS.items() for query in queries),
    ]
    for model, query in asked:
        path = f"{reverse(f'admin:{model}_changelist')}?{urlencode(query)}"
        measure = {"": partial(site.seconds, path)}
        interleaved(measure, rounds=min(WARM_UP, rounds))
        seconds = interleaved(measure, rounds=rounds)[""]
        noun = site.get(path).opts.verbose_name_plural
        what = " ".join(f"{name}={value}" for name, value in query.items())
        # A search uses an index. Some filters read the whole table to count their rows.
        at_most = 100 if "q" in query else None
        yield [
            Figure(f"{noun}, {what}: queries", site.queries(path), at_most=10),
            Figure(f"{noun}, {what}", 1000 * seconds, "ms", at_most=at_most),
        ]


def _confirmed(site: Site, *, rounds: int) -> Iterator[Figure]:
    """Measure the confirmation page of class masking, which may count its rows afterwards."""
    with databases.using(site.database):
        sets = SourceImageCollection.objects.alias(captures=Count("images")).order_by("captures")
        ids = list(sets.values_list("pk", flat=True))
    for what, chosen in {
        "the smallest capture set": ids[:1],
        "the 25 smallest capture sets": ids[:25],
        "the largest capture set": ids[-1:],
        "the 100 largest capture sets": ids[-100:],
    }.items():
        measure = {"": partial(site.confirmation, "class_masking", chosen)}
        interleaved(measure, rounds=min(WARM_UP, rounds))
        seconds = interleaved(measure, rounds=rounds)[""]
        with databases.using(site.database), QueryCounter() as counter:
            site.confirmation("class_masking", chosen)
        yield Figure(f"confirmation page, {what}", 1000 * seconds, "ms", at_most=100)
        if len(chosen) == 100:  # that of fewer rows counts them at once
            yield Figure(f"confirmation page, {what}: queries", counter.count, at_most=12)

"""The lists of the admin for members of projects, compared with a superuser's, at full size."""

from collections.abc import Callable, Iterator
from functools import partial

from django.db import transaction
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_member,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.main.management.scale import Sizes
from ami.main.models import Identification, Project
from ami.users.models import User
from benchmarks import databases
from benchmarks.changelists import LISTS, WARM_UP, Site
from benchmarks.report import Figure
from benchmarks.timing import interleaved

TITLE = "Lists of members"
ROUNDS = 25
ROWS = 100
PROJECTS = 50


class MemberSite(Site):
    """The same database, signed in as a member."""

    def __init__(self, site: Site, user: User) -> None:
        self.database = site.database
        self.client = Client()
        self.client.force_login(user)


def run(*, quick: bool) -> list[Figure]:
    sizes = Sizes().scaled(0.01) if quick else Sizes()
    name = databases.seeded("quick_full" if quick else "full", sizes)
    site = Site(name)
    rounds = 1 if quick else ROUNDS
    try:
        with databases.using(site.database), transaction.atomic():
            figures = list(_compared(site, rounds=rounds))
            transaction.set_rollback(True)  # the database is kept for the next run
        return figures
    finally:
        site.database.close()
        if quick:
            databases.drop(name)


def _compared(site: Site, *, rounds: int) -> Iterator[Figure]:
    ids = list(Project.objects.order_by("pk").values_list("pk", flat=True))
    sites = {
        "superuser": site,
        f"member of a project of {ROWS} rows": MemberSite(site, make_member(_small_project())),
        f"member of the oldest {PROJECTS} projects": MemberSite(site, _member(ids[:PROJECTS])),
        f"member of the newest {PROJECTS} projects": MemberSite(site, _member(ids[-PROJECTS:])),
    }
    for noun, model in LISTS.items():
        path = reverse(f"admin:{model}_changelist")
        for page in (1, 100):
            paths = {who: one.full_page(path, page) for who, one in sites.items()}
            measures: dict[str, Callable[[], float]] = {
                who: partial(one.seconds, paths[who]) for who, one in sites.items()
            }
            interleaved(measures, rounds=min(WARM_UP, rounds))
            seconds = interleaved(measures, rounds=rounds)
            reference = seconds.pop("superuser")
            for who, taken in seconds.items():
                what = f"{noun}, page {page}, {who}"
                queries = sites[who].queries(paths[who])
                yield Figure(f"{what}: queries", queries, at_most=10)
                yield Figure(f"{what} ÷ superuser", taken / reference, at_most=1.5)


def _member(ids: list[int]) -> User:
    first, *others = Project.objects.filter(pk__in=ids)
    user = make_member(first)
    for project in others:
        project.members.add(user)
    return user


def _small_project() -> Project:
    """Create a project with as many rows of each list except capture sets."""
    deployment = make_deployment(project=make_project())
    taxon = make_taxon()
    captures = [make_capture(deployment=deployment) for _ in range(ROWS)]
    for capture in captures:
        occurrence = make_occurrence(deployment=deployment)
        detection = make_detection(source_image=capture, occurrence=occurrence)
        make_classification(detection=detection, taxon=taxon)
        Identification.objects.create(occurrence=occurrence, taxon=taxon)
    make_capture_set(captures)
    project: Project = captures[0].project  # type: ignore[assignment]
    return project

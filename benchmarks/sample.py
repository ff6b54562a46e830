"""Samples of 1.3 million occurrences of one project: drawing them, and answering them."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from ami.jobs.models import Job
from ami.main.management.scale import Sizes
from ami.main.models import Project, Taxon
from ami.review.drawing import Design, draw
from ami.review.models import Sample
from ami.review.populations import find_origin
from ami.users.models import User
from benchmarks import databases
from benchmarks.one_project import drop, one_project
from benchmarks.report import Figure
from benchmarks.timing import QueryCounter, Seconds, interleaved, timed

TITLE = "Samples: drawing and answering"
ROUNDS = 5
SIZE = 500
WAITING = 4  # the items that the page shows next when it asks for more
LOW_SCORES = "determination_score__lte=0.8"


def run(*, quick: bool) -> list[Figure]:
    sizes = Sizes().scaled(0.01) if quick else Sizes()
    name = one_project("quick_full" if quick else "full", sizes)
    try:
        with databases.opened(name), connection.cursor() as cursor:
            cursor.execute("SET max_parallel_workers_per_gather = 0")
            return list(_measured(rounds=1 if quick else ROUNDS))
    finally:
        if quick:
            drop(name)


def _measured(*, rounds: int) -> Iterator[Figure]:
    project, job = Project.objects.earliest("pk").pk, Job.objects.earliest("pk").pk
    sources: dict[str, dict[str, Any]] = {
        "a project": {"source": "project", "source_id": project},
        "a filtered list": {"source": "occurrences", "project_id": project, "query": LOW_SCORES},
        "a Job's changes": {"source": "job", "source_id": job},
    }
    for what, source in sources.items():
        for strata in (Sample.Strata.NONE, Sample.Strata.SCORE, Sample.Strata.TAXA):
            yield from _drawn(what, source, strata, rounds=rounds)
    yield from _answered(project, rounds=rounds)


def _answered(project: int, *, rounds: int) -> Iterator[Figure]:
    """Measure how long the server takes for an answer, and for one that asks for more items."""
    with transaction.atomic():
        sample = _draw({"source": "project", "source_id": project}, Sample.Strata.NONE)
        waiting = deque(sample.items.order_by("position").values_list("pk", flat=True))
        client = Client(headers={"accept": "application/json"})
        client.force_login(User.objects.create_superuser("benchmark@example.org"))
        path = reverse("admin:review_answer", args=[sample.pk])
        taxon = Taxon.objects.earliest("pk").pk

        def answer(more: str) -> Seconds:
            fields = {"item": waiting.popleft(), "answer": "named", "taxon_id": taxon, "more": more}
            fields["has"] = ",".join(map(str, islice(waiting, WAITING)))
            return timed(lambda: _check(client.post(path, fields)))

        measures = {
            "an answer": partial(answer, ""),
            "an answer that asks for more items": partial(answer, "1"),
        }
        interleaved(measures, rounds=3)  # fills the caches
        times = interleaved(measures, rounds=rounds * 10)
        for name, measure in measures.items():
            with QueryCounter() as counter:
                measure()
            yield Figure(f"{name}: queries", counter.count, at_most=35)
            yield Figure(name, 1000 * times[name].cpu, "ms", at_most=50)
        transaction.set_rollback(True)


def _check(response: Any) -> None:
    if response.status_code != 200 or response.json()["failed"]:
        raise RuntimeError(f"An answer was refused: {response.status_code}.")


def _drawn(
    what: str, source: dict[str, Any], strata: Sample.Strata, *, rounds: int
) -> Iterator[Figure]:
    """Measure the CPU time of a drawing, which is rolled back."""
    with transaction.atomic(), QueryCounter() as counter:
        population = _draw(source, strata).population
        transaction.set_rollback(True)
    with transaction.atomic():
        measure = {"": lambda: timed(partial(_draw, source, strata)).cpu}
        seconds = interleaved(measure, rounds=rounds)[""]
        transaction.set_rollback(True)
    by = f", by {strata.label.lower()}" if strata else ""
    name = f"{SIZE} of {population:,} occurrences of {what}{by}"
    at_most = None if source["source"] == "job" else 1
    yield Figure(f"{name}: queries", counter.count, at_most=20)
    yield Figure(name, seconds, "s", at_most=at_most)


def _draw(source: dict[str, Any], strata: Sample.Strata) -> Sample:
    origin = find_origin(**source)
    return draw(origin, Design(name="Benchmark", size=SIZE, seed=1, strata=strata))

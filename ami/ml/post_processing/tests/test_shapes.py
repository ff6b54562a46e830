"""Methods like Antenna's, run through the admin with a real worker, and reverted."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_capture_set, make_classification, make_taxon, make_user
from ami.jobs.models import Job
from ami.jobs.states import Outcome
from ami.main.models import Classification, Event, Identification, Occurrence, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.tests.clicks import OCCURRENCES, SETS, post
from ami.ml.post_processing.tests.methods import registered
from ami.ml.post_processing.tests.nights import A, B, detections, make_event, make_night, tracks
from ami.ml.post_processing.tests.shapes import (
    SHAPES,
    CoarserTask,
    FollowedTask,
    ListedTask,
    TinyTask,
)
from ami.ml.post_processing.tests.vectors import make_classifier, make_list, make_ranks
from ami.testing.records import exactly, rows
from config.tests.processes import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("celery_worker", "shapes"),
]
EVENTS = "/admin/main/event/"
TINY = [700, 700, 702, 702]


@pytest.fixture
def shapes() -> Iterator[None]:
    """Register them in this process, as in the worker."""
    with ExitStack() as stack:
        for shape in SHAPES:
            stack.enter_context(registered(shape))
        yield


@pytest.fixture
def night() -> Event:
    """Two captures with a moth that stays, one that leaves, and a speck; all are classified."""
    ranks = make_ranks("Noctuidae", "Noctua", "Noctua pronuba", "Noctua fimbriata")
    classifier = make_classifier("Noctua pronuba", "Noctua fimbriata", name="Moths")
    event = make_night([A, B, TINY], [A])
    for detection in detections(event):
        make_classification(
            detection=detection,
            taxon=ranks[2],
            score=0.6,
            scores=[0.6, 0.4],
            logits=[0.4, 0.0],
            algorithm=classifier,
        )
    for occurrence in Occurrence.objects.all():
        occurrence.save()
    stays = Occurrence.objects.get(detections=detections(event)[0])
    Identification.objects.create(occurrence=stays, taxon=make_taxon(name="Lynx"), user=make_user())
    return event


def whole_set(night: Event) -> tuple[str, int]:
    return SETS, make_capture_set(list(night.captures.all())).pk


def click(client: Client, url: str, pk: int, action: str, **options: Any) -> Job:
    assert post(client, [pk], url=url, action=action).status_code == 200
    answer = post(client, [pk], url=url, action=action, confirm="yes", **options)
    assert answer.status_code == 302
    (job_id,) = re.findall(r"Job (\d+)</a>", client.get(url).text)
    return ended(Job.objects.get(pk=job_id))


def ended(job: Job) -> Job:
    def has_ended() -> bool:
        job.refresh_from_db()
        return job.is_final

    wait_until(has_ended, seconds=60)
    assert (job.outcome, job.error) == (Outcome.SUCCEEDED, "")
    return job


def revert(client: Client, job: Job) -> Job:
    client.post(reverse("admin:jobs_job_revert", args=[job.pk]))
    return ended(Job.objects.get(reverts=job))


def figures(job: Job, task_cls: type[BasePostProcessingTask]) -> dict[str, Any]:
    """The figures of the method's stage, by the names under which it reported them."""
    return {param.name: param.value for param in job.progress.get_stage(task_cls.key).params}


def hold(
    client: Client, task_cls: type[BasePostProcessingTask], job: Job, expected: dict[str, Any]
) -> None:
    """The page of the Job and the journal show the changes of such a method."""
    assert figures(job, task_cls) == expected
    assert job.progress.fraction == 1.0
    text = client.get(reverse("admin:jobs_job_change", args=[job.pk])).text
    for name in expected:
        assert name[0].upper() + name[1:].replace("_", " ") in text
    assert job.changes.exists()


def test_size_filter(admin_client: Client, night: Event) -> None:
    before = rows()
    job = click(admin_client, *whole_set(night), "run_tiny", smallest_share="0.001")
    hold(admin_client, TinyTask, job, {"detections_checked": 4, "detections_flagged": 1})
    flag = Classification.objects.get(algorithm__key="tiny")
    assert flag.detection == detections(night)[2]
    revert(admin_client, job)
    assert exactly(rows()) == exactly(before)


def test_class_masking(admin_client: Client, night: Event) -> None:
    before = rows()
    fimbriata = Taxon.objects.get(name="Noctua fimbriata")
    job = click(
        admin_client,
        *whole_set(night),
        "run_listed",
        taxa_list_id=make_list(fimbriata).pk,
        algorithm_id=Algorithm.objects.get(name="Moths").pk,
    )
    hold(admin_client, ListedTask, job, {"Classifications found": 4, "classifications_masked": 4})
    for made in Classification.objects.filter(algorithm__key="listed"):
        assert (made.taxon, made.scores) == (fimbriata, [0.0, 1.0])
        assert not made.applied_to.terminal  # type: ignore[union-attr]
    names = set(Occurrence.objects.values_list("determination__name", flat=True))
    assert names == {"Noctua fimbriata", "Lynx"}
    revert(admin_client, job)
    assert exactly(rows()) == exactly(before)


def test_rank_rollup(admin_client: Client, night: Event) -> None:
    before = rows()
    occurrence = detections(night)[1].occurrence
    assert occurrence
    job = click(
        admin_client, OCCURRENCES, occurrence.pk, "run_coarser", thresholds='{"GENUS": 0.9}'
    )
    hold(admin_client, CoarserTask, job, {"Rolled up": 1, "Classifications checked": 1})
    occurrence.refresh_from_db()
    assert (str(occurrence.determination), occurrence.determination_score) == ("Noctua", 1.0)
    revert(admin_client, job)
    assert exactly(rows()) == exactly(before)


def test_tracking(admin_client: Client, night: Event) -> None:
    before = rows()
    job = click(admin_client, EVENTS, night.pk, "run_followed", farthest="50")
    hold(
        admin_client,
        FollowedTask,
        job,
        {"events_tracked": 1, "links_created": 1, "occurrences_merged": 1},
    )
    assert tracks(night) == {(0, 3), (1,), (2,)}
    assert job.params["config"] == {"event_ids": [night.pk], "farthest": 50.0}
    revert(admin_client, job)
    assert exactly(rows()) == exactly(before)


def test_tracking_of_another_projects_events(admin_client: Client, night: Event) -> None:
    other = make_night([A], [A], event=make_event())
    config = {"event_ids": [night.pk, other.pk]}
    job = launch(FollowedTask, [LaunchRow("Followed", night.project, config)])[0]
    ended(job)
    assert (len(tracks(night)), tracks(other)) == (3, {(0,), (1,)})
    assert job.logs.filter(message=f"Events of another project: [<Event: {other}>]").exists()

"""The whole way of an export: import, the two steps in the admin, a real Celery worker."""

import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from ami.base.tests.shared import EXPORT, OWN_EXPORT, third_party
from ami.jobs.models import Job, JobState
from ami.main.models import Classification, Occurrence, SourceImageCollection

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("celery_worker"),
]
CHANGELIST = "admin:main_sourceimagecollection_changelist"


class Export(NamedTuple):
    """An export, and the expected results of the filter."""

    path: Path
    checked: int
    flagged: int
    updated: int


OWN = Export(OWN_EXPORT, checked=10, flagged=2, updated=1)
VERMONT = Export(EXPORT, checked=333, flagged=31, updated=13)


@pytest.fixture(params=[pytest.param(OWN, id="own"), third_party(VERMONT, EXPORT)])
def export(request: pytest.FixtureRequest) -> Export:
    found: Export = request.param
    return found


def launch(admin_client: Client, capture_set: SourceImageCollection, **options: Any) -> Job:
    selection = {"action": "run_small_size_filter", "_selected_action": [capture_set.pk]}
    page = admin_client.post(reverse(CHANGELIST), selection)
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', page.text))
    answer = admin_client.post(reverse(CHANGELIST), {**hidden, **options}, follow=True)
    (pk,) = re.findall(r"Job (\d+)</a>", answer.text)
    return Job.objects.get(pk=pk)


def ended(job: Job) -> Job:
    deadline = time.monotonic() + 60
    while not job.is_final and time.monotonic() < deadline:
        job.refresh_from_db()
    return job


def figures(job: Job) -> dict[str, Any]:
    return {p.key: p.value for p in job.progress.get_stage("small_size_filter").params}


def test_filter_runs_on_the_export(admin_client: Client, export: Export) -> None:
    call_command("import_occurrences", str(export.path), project="Vermont", verbosity=0)
    capture_set = SourceImageCollection.objects.get()

    job = ended(launch(admin_client, capture_set, size_threshold="0.003"))
    assert (job.status, job.error) == (JobState.SUCCESS, "")
    assert {
        "detections_checked": export.checked,
        "detections_flagged": export.flagged,
        "detections_skipped": 0,
        "occurrences_updated": export.updated,
    }.items() <= figures(job).items()
    assert (
        Occurrence.objects.filter(determination__name="Not identifiable").count() == export.updated
    )
    flags = Classification.objects.filter(taxon__name="Not identifiable", terminal=True)
    assert set(flags.values_list("job", flat=True)) == {job.pk}
    assert flags.count() == export.flagged

    again = ended(launch(admin_client, capture_set, size_threshold="0.003"))
    assert again.status == JobState.SUCCESS
    assert figures(again)["detections_checked"] == export.checked
    assert figures(again)["detections_flagged"] == 0
    assert figures(again)["occurrences_updated"] == 0
    assert flags.count() == export.flagged

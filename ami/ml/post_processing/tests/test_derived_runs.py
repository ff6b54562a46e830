"""Jobs of masking and rollup in succession, and their messages about labels and names."""

import csv
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from ami.base.tests.plans import indexes_of
from ami.jobs.models import Job
from ami.jobs.service import ApplyRefusedError, ScopeChangedError
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.jobs.tests.reverting import revert
from ami.main.models import Classification, SourceImageCollection, TaxaList, Taxon
from ami.ml.post_processing.again import apply, scope_changes
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_ranks,
    make_source,
)
from ami.testing.records import exactly, rows

pytestmark = pytest.mark.django_db


def start(
    capture_set: SourceImageCollection,
    task_cls: type[BasePostProcessingTask],
    *,
    dry_run: bool = False,
    **options: Any,
) -> Job:
    """A Job of the method that has ended."""
    config = {"source_image_collection_id": capture_set.pk, **options}
    row = LaunchRow("A run", capture_set.project, config)
    return run_to_end(launch(task_cls, [row], dry_run=dry_run)[0])


def mask(capture_set: SourceImageCollection, *, dry_run: bool = False) -> Job:
    classifier = Classification.objects.earliest("pk").algorithm
    assert classifier
    taxa_list = make_list(*Taxon.objects.filter(name__in=["a", "b"]))
    return start(
        capture_set,
        ClassMaskingTask,
        taxa_list_id=taxa_list.pk,
        algorithm_id=classifier.pk,
        dry_run=dry_run,
    )


def roll_up(capture_set: SourceImageCollection) -> Job:
    return start(capture_set, RankRollupTask)


@pytest.fixture
def night() -> SourceImageCollection:
    """One insect is almost certainly c."""
    make_ranks("F", "G", "a", "b", "c")
    classifier = make_classifier("a", "b", "c", "nobody")
    for logits in ([1.0, 0.9, 0.8, 0.0], [-0.0, 5e-324, 9.0, 0.0], [30.0, 0.0, 0.0, 0.0]):
        source = make_source(classifier, logits=logits)
        assert source.detection.occurrence
        source.detection.occurrence.save()
    return everything()


def test_masking_and_rollup_are_reverted_one_after_the_other(
    night: SourceImageCollection,
) -> None:
    before = exactly(rows())
    masking = mask(night)
    between = exactly(rows())
    rollup = roll_up(night)
    assert rollup.progress.figures["Classifications rolled up"] > 0
    revert(rollup)
    assert exactly(rows()) == between
    revert(masking)
    assert exactly(rows()) == before


def test_what_labels_lack_is_told_once_a_run(
    night: SourceImageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task_cls in (ClassMaskingTask, RankRollupTask):
        monkeypatch.setattr(task_cls, "batch_size", 1)
        monkeypatch.setattr(task_cls, "part_batches", 2)
    masking, rollup = mask(night), roll_up(night)
    for job in (masking, rollup):
        assert job.parts.count() > 1
        assert job.logs.filter(message__endswith="stand for no taxon: nobody.").count() == 1
    assert masking.progress.figures["Labels unresolved"] == 1
    for rank in ("species", "genus", "family"):
        assert rollup.logs.filter(message__contains=f"1 of 4 labels lie under no {rank}").get()


@pytest.mark.parametrize("method", [mask, roll_up])
def test_looking_for_changes_of_the_scope_tells_nothing_anew(
    method: Callable[[SourceImageCollection], Job], night: SourceImageCollection
) -> None:
    job = method(night)
    told = job.logs.count()
    assert scope_changes(job)
    assert job.logs.count() == told


@pytest.mark.parametrize("dry_run", [False, True])
def test_names_that_are_likely_wrong_are_warned_of(
    dry_run: bool, night: SourceImageCollection, admin_client: Client
) -> None:
    job = mask(night, dry_run=dry_run)
    assert job.outcome == Outcome.PROBLEMS
    (warning,) = job.progress.warnings
    assert warning.startswith("Likely off list: 1. Masking removed more than 90% ")
    assert job.logs.filter(level="WARNING", message=warning).exists()
    page = admin_client.get(f"/admin/jobs/job/{job.pk}/change/").text
    assert '<span class="job-warning">1 likely off list</span>' in page
    url = f"/admin/jobs/jobchange/?job__id__exact={job.pk}&warning=likely_off_list"
    assert f'href="{escape(url)}">See each</a>' in page
    assert "1 likely off list" in admin_client.get("/admin/jobs/job/").text
    with CaptureQueriesContext(connection) as queries:
        listed = admin_client.get(url)
    (change,) = listed.context["cl"].result_list
    (counted,) = (query["sql"] for query in queries if "COUNT" in query["sql"])
    assert "jobchange_warned" in indexes_of(counted)
    assert change.after["taxon_id"] != Taxon.objects.get(name="c").pk
    assert "Likely off list" in listed.text
    told = admin_client.get(f"/admin/jobs/job/{job.pk}/changes.csv").getvalue().decode()
    lines = list(csv.DictReader(StringIO(told)))
    assert [line["id"] for line in lines if line["warnings"]] == [str(change.pk)]
    assert {line["warnings"] for line in lines} == {"", "likely_off_list"}


def test_changes_of_no_job_can_be_asked_for_by_a_warning(
    night: SourceImageCollection, admin_client: Client
) -> None:
    mask(night)
    for query in ("warning=likely_off_list", "job__id__exact=0&warning=x", "warning=%00"):
        assert admin_client.get(f"/admin/jobs/jobchange/?{query}", follow=True).status_code == 200


def test_list_that_was_edited_since_the_dry_run_is_told_and_asked_about(
    night: SourceImageCollection,
) -> None:
    dry = mask(night, dry_run=True)
    TaxaList.objects.get().taxa.add(Taxon.objects.get(name="c"))
    with pytest.raises(ScopeChangedError) as changed:
        apply(dry, user=None)
    assert changed.value.changes == ["Taxa list: 2 entries when it was planned, 3 now."]
    TaxaList.objects.all().delete()
    with pytest.raises(ApplyRefusedError, match="no longer exists"):
        apply(dry, user=None)

"""Jobs of masking and rollup: provenance, revert, and a second run."""

from collections.abc import Callable
from typing import Any

import pytest

from ami.jobs.models import Job
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import Classification, SourceImageCollection, TaxaList, Taxon
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.tests.reverting import exactly, figures, left, revert, rows
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_ranks,
    make_source,
)

pytestmark = pytest.mark.django_db


def start(
    capture_set: SourceImageCollection, task_cls: type[BasePostProcessingTask], **options: Any
) -> Job:
    """A Job of that method that has run to its end; `dry_run` among the options makes it dry."""
    dry_run = options.pop("dry_run", False)
    config = {"source_image_collection_id": capture_set.pk, **options}
    row = LaunchRow("A run", capture_set.project, config)
    return run_to_end(launch(task_cls, [row], dry_run=dry_run)[0])


def mask(capture_set: SourceImageCollection, **options: Any) -> Job:
    classifier = Classification.objects.earliest("pk").algorithm
    assert classifier
    taxa_list = TaxaList.objects.first() or make_list(*Taxon.objects.filter(name__in=["a", "b"]))
    options |= {"taxa_list_id": taxa_list.pk, "algorithm_id": classifier.pk}
    return start(capture_set, ClassMaskingTask, **options)


def roll_up(capture_set: SourceImageCollection, **options: Any) -> Job:
    return start(capture_set, RankRollupTask, **options)


@pytest.fixture
def night() -> SourceImageCollection:
    make_ranks("F", "G", "a", "b", "c")
    classifier = make_classifier("a", "b", "c")
    for logits in ([1.0, 0.9, 0.8], [-0.0, 5e-324, 9.0], [30.0, 0.0, 0.0], [1.0]):
        source = make_source(classifier, logits=logits)
        assert source.detection.occurrence
        source.detection.occurrence.save()
    return everything()


@pytest.mark.parametrize("method", [mask, roll_up])
def test_run_is_journaled_and_reverted_exactly(
    method: Callable[..., Job], night: SourceImageCollection
) -> None:
    before = exactly(rows())
    job = method(night)
    assert exactly(rows()) != before
    written = Classification.objects.filter(job=job)
    created = job.changes.filter(kind="created").values_list("object_id", flat=True)
    assert set(created) == set(written.values_list("pk", flat=True)) != set()
    reverting = revert(job)
    assert left(reverting) == []
    assert exactly(rows()) == before


def test_masking_and_rollup_are_reverted_one_after_the_other(
    night: SourceImageCollection,
) -> None:
    before = exactly(rows())
    masking = mask(night)
    between = exactly(rows())
    rollup = roll_up(night)
    assert figures(rollup)["Classifications rolled up"] > 0
    revert(rollup)
    assert exactly(rows()) == between
    revert(masking)
    assert exactly(rows()) == before


def test_problems_are_told_by_the_job(night: SourceImageCollection) -> None:
    job = mask(night)
    assert job.progress.skipped == 1
    assert figures(job)["Skipped: logits of another length than the category map"] == 1


@pytest.mark.parametrize("method", [mask, roll_up])
def test_dry_run_foretells_the_run(
    method: Callable[..., Job], night: SourceImageCollection
) -> None:
    before = exactly(rows())
    foretold = method(night, dry_run=True)
    assert exactly(rows()) == before
    done = method(night)
    assert figures(foretold) == figures(done)
    assert foretold.changes.count() == done.changes.count() > 0

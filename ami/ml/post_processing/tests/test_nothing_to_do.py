"""Runs without rows to work on end as "nothing to do"."""

import json
from typing import Any

import pytest
from django.test import Client

from ami.base.tests.commands import conforms, run_command
from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.jobs.journal.revert import refusal
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import Classification, Detection, SourceImageCollection, TaxaList, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.again import can_apply
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.class_masking import ClassMaskingTask
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.clicks import post
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_ranks,
    make_source,
)
from ami.ml.post_processing.track_consensus import TrackConsensusTask

pytestmark = pytest.mark.django_db

EMPTY = "There is no detection in scope."
NO_LOGITS = "No classification in scope has logits."


@pytest.fixture
def classifier() -> Algorithm:
    make_ranks("F", "G", "a", "b", "c")
    return make_classifier("a", "b", "c", name="Moths")


def options_of(task_cls: type[BasePostProcessingTask]) -> dict[str, Any]:
    if task_cls is not ClassMaskingTask:
        return {}
    algorithm = Algorithm.objects.filter(category_map__isnull=False).earliest("pk")
    taxa = Taxon.objects.filter(name__in=["a", "b"])
    return {"algorithm_id": algorithm.pk, "taxa_list_id": make_list(*taxa, name="Ours").pk}


def run(
    task_cls: type[BasePostProcessingTask],
    capture_set: SourceImageCollection,
    *,
    dry_run: bool = False,
    **options: Any,
) -> Job:
    config = {"source_image_collection_id": capture_set.pk, **options}
    return run_to_end(launch(task_cls, [LaunchRow("A run", None, config)], dry_run=dry_run)[0])


def reason(job: Job) -> str:
    assert (job.status, job.outcome) == (JobState.SUCCESS, Outcome.NOTHING), job.error
    assert job.progress.fraction == 0
    assert not job.changes.exists()
    assert job.logs.filter(message=f"Nothing to do: {job.error}").exists()
    return job.error


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("task_cls", POSTPROCESSING_TASKS.values())
def test_empty_capture_set(
    task_cls: type[BasePostProcessingTask], dry_run: bool, classifier: Algorithm
) -> None:
    empty = make_capture_set([make_capture()])
    job = run(task_cls, empty, dry_run=dry_run, **options_of(task_cls))
    assert reason(job) == EMPTY


@pytest.mark.parametrize(
    ("task_cls", "told"),
    [
        (ClassMaskingTask, NO_LOGITS),
        (RankRollupTask, "0 of 3 classifications in scope have scores or logits."),
    ],
)
def test_rows_without_vectors(
    task_cls: type[BasePostProcessingTask], told: str, classifier: Algorithm
) -> None:
    for _ in range(3):
        make_source(classifier, taxon=Taxon.objects.get(name="a"))
    assert reason(run(task_cls, everything(), **options_of(task_cls))) == told


def test_rollup_of_detections_without_a_classification() -> None:
    told = reason(run(RankRollupTask, make_scope(2)))
    assert told == "There is no classification in scope."


def test_consensus_of_individuals_without_a_classification_to_fuse(classifier: Algorithm) -> None:
    flag = make_taxon(name="Not identifiable", identifiable=False)
    told = "No occurrence in scope has a classification to fuse."
    detection = make_detection(occurrence=make_occurrence())
    scope = make_capture_set([detection.source_image])
    assert reason(run(TrackConsensusTask, scope)) == told
    make_classification(detection=detection, taxon=flag)
    assert reason(run(TrackConsensusTask, scope)) == told
    make_source(classifier, detection=detection, logits=[1.0, 2.0, 3.0])
    job = run(TrackConsensusTask, scope)
    assert job.outcome == Outcome.SUCCEEDED
    assert job.progress.figures["Occurrences checked"] == 1


def test_classifier_that_gave_nothing(classifier: Algorithm) -> None:
    make_source(make_classifier("x"), logits=[1.0])
    told = reason(run(ClassMaskingTask, everything(), **options_of(ClassMaskingTask)))
    assert told == "No current classification of Moths v1 in scope has logits."


def test_masking_that_has_been_done_before(classifier: Algorithm) -> None:
    for _ in range(2):
        make_source(classifier, logits=[1.0, 2.0, 3.0])
    options, scope = options_of(ClassMaskingTask), everything()
    assert run(ClassMaskingTask, scope, **options).outcome == Outcome.SUCCEEDED
    assert reason(run(ClassMaskingTask, scope, **options)) == (
        "All 2 classifications of Moths v1 in scope were already masked by Ours with the same "
        "classes."
    )
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    assert run(ClassMaskingTask, everything(), **options).outcome == Outcome.SUCCEEDED


def test_masking_by_a_list_that_was_edited_since_has_something_to_do(classifier: Algorithm) -> None:
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    options, scope = options_of(ClassMaskingTask), everything()
    run(ClassMaskingTask, scope, **options)
    TaxaList.objects.get().taxa.remove(Taxon.objects.get(name="a"))
    assert run(ClassMaskingTask, scope, **options).outcome == Outcome.SUCCEEDED


def test_rollup_that_has_been_done_before(classifier: Algorithm) -> None:
    for _ in range(2):
        make_source(classifier, logits=[1.0, 1.0, 1.0])
    scope = everything()
    assert run(RankRollupTask, scope).outcome == Outcome.SUCCEEDED
    assert reason(run(RankRollupTask, scope)) == (
        "0 of 2 classifications in scope have scores or logits. 2 of them are results of an "
        "earlier rollup."
    )


def test_what_was_looked_at_and_stays_is_a_success(classifier: Algorithm) -> None:
    make_source(classifier, logits=[0.0, 0.0, 0.0], taxon=Taxon.objects.get(name="F"))
    Detection.objects.update(bbox=[1, 1, 900, 900])
    scope = everything()
    for _ in range(2):
        for job in (
            run(SmallSizeFilterTask, scope),
            run(RankRollupTask, scope, thresholds={"SPECIES": 1}),
        ):
            assert job.outcome == Outcome.SUCCEEDED
            assert job.progress.stages[0].params[0].value == 1
            assert not job.changes.exists()


def test_method_with_a_run_of_its_own_is_not_begun() -> None:
    class OwnTask(CountingTask):
        key = "own"
        name = "Own"

        def run(self) -> None:
            raise AssertionError

    with registered(OwnTask):
        assert reason(run(OwnTask, make_scope())) == EMPTY


def test_nothing_is_applied_or_reverted(classifier: Algorithm) -> None:
    dry = run(SmallSizeFilterTask, make_scope(), dry_run=True)
    assert not can_apply(dry)
    assert refusal(run(SmallSizeFilterTask, make_scope()))


def test_pages_tell_it(classifier: Algorithm, admin_client: Client) -> None:
    job = run(SmallSizeFilterTask, make_scope())
    page = admin_client.get(f"/admin/jobs/job/{job.pk}/change/").text
    assert '<span class="job-status job-status-nothing">Nothing to do</span>' in page
    assert f"<strong>Nothing to do.</strong> {EMPTY}" in page
    assert "<progress" not in page
    run(SmallSizeFilterTask, make_scope(1))
    listed = admin_client.get("/admin/jobs/job/?outcome__exact=nothing")
    assert [row.pk for row in listed.context["cl"].result_list] == [job.pk]
    assert "0%<" not in listed.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("as_json", [False, True])
def test_command_line_tells_it(
    as_json: bool, celery_worker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scope = make_scope()
    arguments = ["small_size_filter", "--collection", str(scope.pk)]
    if as_json:
        arguments += ["--format", "json"]
    ended = run_command("ami.ml.post_processing", "run_post_processing", *arguments, capsys=capsys)
    assert ended.code == 4
    if as_json:
        told = json.loads(ended.out)
        assert conforms(told, schema="run_post_processing")
        assert (told["outcome"], told["error"], told["warnings"]) == ("nothing", EMPTY, [])
    else:
        assert ended.out.startswith(f"Job {Job.objects.get().pk}: Nothing to do.\n")
        assert ended.err == f"{EMPTY}\n"


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("run_class_masking", NO_LOGITS),
        ("run_rank_rollup", "0 of 1 classifications in scope have scores or logits."),
        ("run_small_size_filter", ""),
        ("run_tracking", ""),
    ],
)
def test_page_of_options_lets_nobody_run_what_has_nothing_to_do(
    action: str, told: str, admin_client: Client
) -> None:
    detection = make_detection()
    make_classification(detection=detection, taxon=make_taxon())
    page = post(admin_client, [make_capture_set([detection.source_image]).pk], action=action).text
    disabled = '<input type="submit" class="default" value="Run" disabled'
    assert (disabled in page) == bool(told)
    assert f"Nothing to do: {told}" in page if told else "Nothing to do" not in page
    page = post(admin_client, [make_scope().pk], action=action).text
    assert disabled in page
    assert f"Nothing to do: {EMPTY}" in page


def test_page_of_options_names_the_lack_of_a_list(
    classifier: Algorithm, admin_client: Client
) -> None:
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    page = post(admin_client, [everything().pk], action="run_class_masking").text
    assert "Nothing to do: No taxa list of the project holds a class of a classifier." in page
    assert Classification.objects.count() == 1

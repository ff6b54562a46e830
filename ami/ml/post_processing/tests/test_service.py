from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoCaptureOnCommitCallbacks

from ami.base.tests.factories import make_member, make_project
from ami.jobs.engine import runner
from ami.jobs.models import Job, JobPart, JobState
from ami.jobs.service import AlreadyLaunchedError
from ami.jobs.tests.job_types import make_job
from ami.main.access import Role
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.service import JOB_TYPE, LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import make_scope
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config

REGISTERED = ", ".join(POSTPROCESSING_TASKS)


def rows(*ids: Any, **options: Any) -> list[LaunchRow]:
    return [LaunchRow(f"Run on {pk}", None, {"occurrence_id": pk, **options}) for pk in ids]


@pytest.mark.django_db
def test_one_job_a_row() -> None:
    project = make_project()
    user = make_member(project, Role.OPERATOR)
    (job,) = launch(
        SmallSizeFilterTask, [LaunchRow("A run", project, {"occurrence_id": "7"})], user=user
    )
    job.refresh_from_db()
    assert (job.name, job.project, job.user) == ("A run", project, user)
    assert (job.job_type_key, job.status) == ("post_processing", JobState.PENDING)
    assert job.params == {
        "task": "small_size_filter",
        "config": {"occurrence_id": 7, "size_threshold": 0.0008},
    }


@pytest.mark.django_db
def test_messages_go_out_on_commit(
    published: list[Any], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        jobs = launch(SmallSizeFilterTask, rows(1, 2))
        assert not published
    assert published == [(job.task_id, [job.pk]) for job in jobs]


@pytest.mark.django_db
def test_broker_that_is_down_does_not_lose_the_jobs(
    broker_down: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        launch(SmallSizeFilterTask, rows(1, 2))
    assert [job.status for job in Job.objects.all()] == [JobState.PENDING] * 2
    assert all("broker" in job.unsent for job in Job.objects.all())


@pytest.mark.django_db
def test_broker_that_is_down_is_tried_once_for_all_jobs(
    broker_down: None,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    tried: list[int] = []
    publish = JobPart.publish

    def counted(part: JobPart) -> bool:
        tried.append(part.job_id)
        return publish(part)

    monkeypatch.setattr(JobPart, "publish", counted)
    with django_capture_on_commit_callbacks(execute=True):
        jobs = launch(SmallSizeFilterTask, rows(1, 2, 3))
    assert tried == [jobs[0].pk]


@pytest.mark.django_db
def test_one_bad_row_launches_none() -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        launch(SmallSizeFilterTask, rows(1, 0, 3))
    assert invalid.value.errors == [("occurrence_id", "occurrence_id must be at least 1, got 0.")]
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_fault_that_rows_share_is_told_once() -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        launch(SmallSizeFilterTask, rows(1, 2, 3, size_threshold=7))
    assert invalid.value.errors == [("size_threshold", "size_threshold must be below 1, got 7.")]


@pytest.mark.django_db
def test_faults_of_all_rows_are_told() -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        launch(SmallSizeFilterTask, rows(0, 1, -1, 0))
    assert [text for _, text in invalid.value.errors] == [
        "occurrence_id must be at least 1, got 0.",
        "occurrence_id must be at least 1, got -1.",
    ]


@pytest.mark.django_db
def test_long_name_is_cut() -> None:
    (job,) = launch(SmallSizeFilterTask, [LaunchRow("x" * 300, None, {"occurrence_id": 1})])
    assert job.name == "x" * 255


@pytest.mark.django_db
def test_no_rows_launch_nothing() -> None:
    assert launch(SmallSizeFilterTask, []) == []


@pytest.mark.django_db
def test_second_submission_is_told_of_the_first() -> None:
    jobs = launch(SmallSizeFilterTask, rows(1, 2), launch_key="form")
    with pytest.raises(AlreadyLaunchedError) as again:
        launch(SmallSizeFilterTask, rows(1, 2), launch_key="form")
    assert sorted(again.value.job_ids) == [job.pk for job in jobs]
    assert Job.objects.count() == 2
    launch(SmallSizeFilterTask, rows(1), launch_key="another form")
    launch(SmallSizeFilterTask, rows(1))
    launch(SmallSizeFilterTask, rows(1))
    assert Job.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_of_two_submissions_at_once_one_launches(broker_down: None) -> None:
    barrier = Barrier(2)

    def submit(key: str) -> list[int]:
        try:
            barrier.wait()
            return [job.pk for job in launch(SmallSizeFilterTask, rows(1, 2), launch_key=key)]
        except AlreadyLaunchedError as former:
            return sorted(former.job_ids)
        finally:
            connection.close()

    for number in range(3):
        with ThreadPoolExecutor(2) as people:
            first, second = people.map(submit, [f"form {number}"] * 2)
        assert first == second
        assert Job.objects.count() == 2 * (number + 1)


@pytest.mark.django_db
def test_job_runs_its_method() -> None:
    capture_set = make_scope(2)
    (job,) = launch(
        SmallSizeFilterTask,
        [LaunchRow("A run", None, {"source_image_collection_id": capture_set.pk})],
    )
    runner.run(job.pk)
    job.refresh_from_db()
    assert job.status == JobState.SUCCESS
    figures = {p.key: p.value for p in job.progress.get_stage("small_size_filter").params}
    assert figures["detections_checked"] == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "The Job's parameters lack 'task'."),
        ({"task": "small_size_filter"}, "The Job's parameters lack 'config'."),
        ([], "The Job's parameters are not a mapping: []."),
        (
            {"task": "elsewhere", "config": {}},
            f"Unknown method 'elsewhere'. Registered: {REGISTERED}.",
        ),
        ({"task": [], "config": {}}, f"Unknown method '[]'. Registered: {REGISTERED}."),
        (
            {"task": "small_size_filter", "config": None},
            "The options must be a mapping, got None.",
        ),
        (
            {"task": "small_size_filter", "config": {"occurrence_id": 1, "size_threshold": 7}},
            "size_threshold must be below 1, got 7.",
        ),
        (
            {"task": "small_size_filter", "config": {"occurrence_id": 1, "job": 2}},
            "job is not an option of this method, got 2.",
        ),
        (
            {"task": "small_size_filter", "config": {}},
            "Exactly one of source_image_collection_id, occurrence_id must be given, got none.",
        ),
        (
            {"task": "small_size_filter", "config": {"occurrence_id": 987654}},
            "Occurrence 987654 no longer exists.",
        ),
        (
            {"task": "small_size_filter", "config": {"source_image_collection_id": 987654}},
            "Capture set 987654 no longer exists.",
        ),
    ],
)
def test_job_that_cannot_run_fails_with_the_reason(params: Any, sentence: str) -> None:
    job = make_job(job_type_key=JOB_TYPE, params=params)
    runner.run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.error) == (JobState.FAILURE, sentence)
    assert [line.message for line in job.logs.all()] == [sentence]


@pytest.mark.parametrize("pk", [True, 1.7, 7.0])
def test_id_that_is_no_whole_number_is_refused(pk: Any) -> None:
    with pytest.raises(ConfigValidationErrors, match=r"^occurrence_id must be a whole number"):
        parse_config(SmallSizeFilterTask.config_schema, {"occurrence_id": pk})

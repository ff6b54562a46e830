"""`manage.py run_post_processing` launches as the admin does."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from ami.base.tests.factories import make_capture, make_capture_set, make_detection, make_occurrence
from ami.jobs.models import Job
from ami.jobs.states import JobState
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.tests.methods import registered
from ami.ml.post_processing.tests.shapes import TinyTask


def run(*arguments: Any) -> str:
    out = StringIO()
    call_command("run_post_processing", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("celery_worker")
def test_waits_for_the_worker_and_tells_the_figures() -> None:
    detection = make_detection(bbox=[0, 0, 10, 10])
    capture_set = make_capture_set([detection.source_image])
    text = run("small_size_filter", "--collection", capture_set.pk)
    assert "Succeeded." in text
    assert "Detections flagged: 1" in text


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("celery_worker")
def test_skipped_rows_end_with_exit_code_1() -> None:
    capture_set = make_capture_set([make_detection(bbox=None).source_image])
    with pytest.raises(SystemExit) as ended:
        run("small_size_filter", "--collection", capture_set.pk)
    assert ended.value.code == 1


@pytest.mark.django_db
def test_without_waiting_the_job_is_left_queued() -> None:
    occurrence = make_occurrence()
    arguments = ("--occurrence", occurrence.pk, "--no-wait", "--format", "json")
    outcome = json.loads(run("small_size_filter", *arguments))
    job = Job.objects.get()
    assert (outcome["job"], outcome["status"]) == (job.pk, JobState.PENDING)
    assert job.project == occurrence.project
    assert job.name == f"Small size filter on occurrence Occurrence {occurrence.pk}"


@pytest.mark.django_db
def test_pairs_go_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "options.json"
    file.write_text('{"size_threshold": 0.5}')
    occurrence = make_occurrence()
    target = ("small_size_filter", "--occurrence", occurrence.pk, "--no-wait", "--config", file)
    run(*target)
    run(*target, "--set", "size_threshold=0.25")
    stored = [job.params["config"]["size_threshold"] for job in Job.objects.order_by("pk")]
    assert stored == [0.5, 0.25]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["nope", "--collection", "1"],
            f"Unknown method 'nope'. Registered: {', '.join(POSTPROCESSING_TASKS)}.",
        ),
        (
            ["small_size_filter"],
            "small_size_filter needs a scope: give --collection or --occurrence.",
        ),
        (["small_size_filter", "--collection", "0"], "There is no capture set 0."),
        (["small_size_filter", "--collection", 2**70], f"There is no capture set {2**70}."),
    ],
)
def test_bad_usage_is_one_sentence_with_exit_code_2(arguments: list[Any], sentence: str) -> None:
    with pytest.raises(CommandError) as refusal:
        run(*arguments)
    assert (str(refusal.value), refusal.value.returncode) == (sentence, 2)
    assert not Job.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--set", "size_threshold=7"], "size_threshold must be below 1, got 7."),
        (["--set", "size_threshold=tiny"], "size_threshold must be a number, got 'tiny'."),
        (["--set", "depth=1"], "depth is not an option of this method, got 1."),
        (["--set", "size_threshold"], "--set takes OPTION=VALUE, got 'size_threshold'."),
    ],
)
def test_bad_option_is_one_sentence_with_exit_code_2(options: list[str], sentence: str) -> None:
    capture_set = make_capture_set([make_capture()])
    with pytest.raises(CommandError) as refusal:
        run("small_size_filter", "--collection", capture_set.pk, *options)
    assert (str(refusal.value), refusal.value.returncode) == (sentence, 2)
    assert not Job.objects.exists()


@pytest.mark.parametrize("content", ["[1]", "{", ""])
@pytest.mark.django_db
def test_broken_file_of_options_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "options.json"
    file.write_text(content)
    with pytest.raises(CommandError, match=r"options\.json") as refusal:
        run("small_size_filter", "--occurrence", make_occurrence().pk, "--config", file)
    assert refusal.value.returncode == 2


def test_list_shows_methods_with_their_options() -> None:
    text = run("--list")
    assert "small_size_filter (--collection ID | --occurrence ID)" in text
    assert "--set size_threshold=…  [0.0008]" in text


def test_method_whose_texts_are_lazy_is_listed() -> None:
    with registered(TinyTask):
        text = run("--list", "tiny")
        (tiny,) = json.loads(run("--list", "tiny", "--format", "json"))["methods"]
    assert "--set smallest_share=…  [0.001]  Of the frame." in text
    assert tiny["description"] == "Names what is too small to identify."
    assert tiny["schema"]["properties"]["smallest_share"]["title"] == "Smallest share"

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from ami.jobs.models import JobState
from ami.jobs.progress import JobProgress
from ami.jobs.tests.job_types import make_job


def test_stage_is_added_once_and_keeps_its_figures() -> None:
    progress = JobProgress()
    stage = progress.add_stage("Small size filter")
    progress.add_or_update_stage_param(stage, "Detections checked", 3)
    assert stage.key == "small_size_filter"
    assert progress.add_stage("Small size filter") is stage
    assert [stage.key for stage in progress.stages] == ["small_size_filter"]
    assert progress.add_stage("Other name", key="small_size_filter").params[0].value == 3


def test_unknown_stage_is_named_with_the_known_ones() -> None:
    progress = JobProgress()
    with pytest.raises(ValueError, match=r"no stage 'x'\. Stages: none\."):
        progress.get_stage("x")
    progress.add_stage("First")
    progress.add_stage("Second", key="2nd")
    with pytest.raises(ValueError, match=r"Stages: first, 2nd\."):
        progress.get_stage("x")


def test_figure_is_updated_under_its_key() -> None:
    progress = JobProgress()
    stage = progress.add_stage("Stage")
    progress.add_or_update_stage_param("stage", "Rows read", 1)
    param = progress.add_or_update_stage_param(stage, "Rows read", 2)
    assert [(p.name, p.key, p.value) for p in stage.params] == [("Rows read", "rows_read", 2)]
    assert param is stage.params[0]


def test_figures_in_other_scripts_keep_keys_of_their_own() -> None:
    progress = JobProgress()
    stage = progress.add_stage("Étape")
    progress.add_or_update_stage_param(stage, "Рамки", 1)
    progress.add_or_update_stage_param(stage, "Кадры", 2)
    assert [param.value for param in stage.params] == [1, 2]


def test_update_stage_sets_status_progress_and_figures() -> None:
    progress = JobProgress()
    progress.add_stage("Stage")
    stage = progress.update_stage("stage", status=JobState.STARTED, progress=0.5, rows=7)
    assert (stage.status, stage.progress) == (JobState.STARTED, 0.5)
    assert [(param.key, param.value) for param in stage.params] == [("rows", 7)]


def test_fraction_is_the_mean_of_the_stages() -> None:
    progress = JobProgress()
    assert progress.fraction == 0
    progress.add_stage("One").progress = 1.0
    progress.add_stage("Two").progress = 0.5
    assert progress.fraction == 0.75


@pytest.mark.django_db
def test_progress_reads_as_it_was_written() -> None:
    job = make_job()
    stage = job.progress.add_stage("Stage")
    stage.progress = 0.25
    job.progress.add_or_update_stage_param(stage, "Rows", {"a": [1, None]})
    job.save()
    job.refresh_from_db()
    assert isinstance(job.progress, JobProgress)
    assert job.progress.get_stage("stage") == stage


@pytest.mark.django_db
def test_new_jobs_share_no_progress() -> None:
    make_job().progress.add_stage("Stage")
    assert make_job().progress.stages == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("figure", "stored"),
    [
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ([1.0, float("nan")], [1.0, "nan"]),
        (np.array([1, 2]), [1, 2]),
        ({1: {"a\x00": (True, None)}}, {"1": {"a": [True, None]}}),
        (Decimal("1.5"), "1.5"),
        ("a\x00b", "ab"),
        ("a\ud800", "a?"),
    ],
)
def test_any_figure_can_be_stored(figure: Any, stored: Any) -> None:
    job = make_job()
    stage = job.progress.add_stage("Stage")
    job.progress.add_or_update_stage_param(stage, "Figure", figure)
    job.save()
    job.refresh_from_db()
    assert job.progress.get_stage("stage").params[0].value == stored

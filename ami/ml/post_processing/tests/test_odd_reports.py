"""A Job ends, and its page works, whatever the method reports."""

from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils.translation import gettext_lazy

from ami.base.tests.factories import make_user
from ami.jobs import transitions
from ami.jobs.engine.work import Planned
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome
from ami.jobs.tests.admin import page_of
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tests.methods import CountingTask, make_scope, registered

pytestmark = pytest.mark.django_db


class Mute:
    """A value without text or length."""

    def __repr__(self) -> str:
        raise RuntimeError("No text.")

    def tolist(self) -> list[Any]:
        raise RuntimeError("No list.")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("No text.")


def loop() -> list[Any]:
    """A list that contains itself."""
    held: list[Any] = []
    held += [held, held, {"again": held}]
    return held


def deep() -> list[Any]:
    held: list[Any] = []
    for _ in range(5_000):
        held = [held]
    return held


NAMES: list[Any] = [
    *("skipped_because", "skipped_frames_seen", "skipped", "Skipped: too odd", "", " ", "!!!"),
    *("???", "a\x00b", "a\ud800b", "Рамки", "x" * 5_000, "items", "__class__", "<b>bold</b>"),
    *("{{ job }}", "100 %d %s", "status", "progress", "name", "seen", None, 7, 1.5, ("a", 1)),
    *(b"bytes", Mute(), frozenset({1}), float("nan"), True, len, JobState.STARTED),
]
VALUES: list[Any] = [
    *("no light", "", "12", "1e999", "a\x00b", "\ud800", "9" * 10_000, "x" * 100_000),
    *(None, True, 0, -1, 10**400, 10**5_000, -(10**5_000), 2**63, 1e308, -0.0, 1j),
    *(float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("1e400")),
    *(Fraction(1, 3), [], {}, (), set(), {1, 2}, [float("nan")], {None: None, Mute(): 1}),
    *(OrderedDict(a=1), loop(), deep(), Mute(), [Mute()], b"\xff", bytearray(b"a")),
    *(memoryview(b"a"), object, object(), np.int64(3), np.float32("nan"), np.bool_(True)),
    *(np.array([[1.0, np.nan]]), np.array(["a\x00"]), datetime(2026, 1, 1, tzinfo=UTC)),
    *(gettext_lazy("Name"), len, lambda: 1, range(3), (n for n in range(3)), JobState.STARTED),
    *(make_job, type("Odd", (), {}), [[[]]], {"a": {"b": {}}}, ValueError(Mute()), Ellipsis),
]
METRICS: list[dict[Any, Any]] = [
    *({name: "no light"} for name in NAMES),
    *({name: 1} for name in NAMES),
    *({f"value {number}": value} for number, value in enumerate(VALUES)),
]


class OddTask(CountingTask):
    key = "odd"
    name = "Odd"
    counters = ("seen",)
    warnings = {"seen": "Mind it."}
    metrics: ClassVar[list[dict[Any, Any]]] = METRICS

    def process(self, batch: Batch) -> None:
        for metrics in self.metrics:
            self.report_stage_metrics(metrics)
            self.update_progress(float("nan"))


class OddRunTask(OddTask):
    def run(self) -> None:
        self.process(self._batch(Planned(0, [False, 0, 0])))


def run(task_cls: type[CountingTask]) -> Job:
    config = {"source_image_collection_id": make_scope(1).pk}
    params = {"task": task_cls.key, "config": config}
    with registered(task_cls):
        return run_to_end(make_job(job_type_key=JOB_TYPE, params=params))


@pytest.mark.parametrize("task_cls", [OddTask, OddRunTask])
def test_job_ends_whatever_its_method_reports(task_cls: type[OddTask], client: Client) -> None:
    assert len(METRICS) > 100
    client.force_login(make_user(is_staff=True, is_superuser=True))
    job = run(task_cls)
    assert job.outcome in {Outcome.SUCCEEDED, Outcome.PROBLEMS}, job.error
    assert len(job.progress.stages[0].params) > len(VALUES)
    assert client.get(page_of(job)).status_code == 200
    call_command("job", "show", str(job.pk), "--format", "json")


@pytest.mark.parametrize("error", [MuteError(), ValueError("a\x00b\ud800"), ValueError(Mute())])
@pytest.mark.parametrize("task_cls", [OddTask, OddRunTask])
def test_job_ends_whatever_its_method_raises(
    task_cls: type[OddTask], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(task: OddTask, metrics: Any) -> None:
        raise error

    monkeypatch.setattr(task_cls, "report_stage_metrics", fail)
    assert run(task_cls).outcome == Outcome.CRASHED


def test_figures_that_are_called_skipped_are_no_skipped_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = [{"skipped_because": "no light", "skipped_frames_seen": 4}]
    monkeypatch.setattr(OddRunTask, "metrics", metrics)
    job = run(OddRunTask)
    assert (job.outcome, job.progress.skipped) == (Outcome.SUCCEEDED, 0)


def test_rows_that_a_method_with_a_run_of_its_own_skips_are_told() -> None:
    class SkippingRunTask(CountingTask):
        def run(self) -> None:
            self.skip("too odd", rows=3, ids=[1, 2, 3])
            self.update_progress(1)

    job = run(SkippingRunTask)
    assert (job.outcome, job.progress.skipped) == (Outcome.PROBLEMS, 3)


def test_end_that_cannot_be_written_leaves_the_job_in_memory_as_it_is() -> None:
    job = make_job(status=JobState.STARTED)

    def refuse(*args: Any) -> None:
        raise RuntimeError("No progress.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ami.jobs.summary.progress_of", refuse)
        with pytest.raises(RuntimeError):
            transitions.end(job, Outcome.SUCCEEDED)
    assert (job.status, job.outcome, job.finished_at) == (JobState.STARTED, "", None)
    assert transitions.end(job, Outcome.CRASHED, error="It broke.")

"""What every registered method has to hold: a new one is tested here by being registered.

The package `every` has a module for each, with the rows that it is tested on.
"""

from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.jobs.engine import parts, runner
from ami.jobs.models import Job, JobState
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.likeness import Likeness, highest_ids
from ami.main.models import SourceImageCollection
from ami.main.tests.counting import stale_counts
from ami.ml.post_processing.admin import form_class_for
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import scopes_of
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.tests.clicks import post, told
from ami.ml.post_processing.tests.every import Rows, make_rows_for
from ami.ml.post_processing.tests.foretelling import announced, known_rows, tables
from ami.ml.post_processing.tests.reverting import exactly, figures, left, revert, rows
from ami.ml.post_processing.tests.seeing import broker
from ami.ml.post_processing.tests.workers import Broker, fresh, race
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config
from ami.users.models import User

__all__ = ["broker"]

Method = type[BasePostProcessingTask]
DOCS = Path(__file__).parents[4] / "docs" / "reference" / "methods"
MANY_BATCHES = {"batch_size": 2, "part_batches": 2}
ONE_BATCH = {"batch_size": 10_000}

in_transactions = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=POSTPROCESSING_TASKS.values(), ids=list(POSTPROCESSING_TASKS))
def method(request: pytest.FixtureRequest) -> Method:
    task_cls: Method = request.param
    return task_cls


@pytest.fixture
def in_small_batches(method: Method, monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
    """Several parts of several batches, whose messages nobody takes."""
    for name, value in MANY_BATCHES.items():
        monkeypatch.setattr(method, name, value)


def queued(method: Method, made: Rows, *, dry_run: bool = False) -> Job:
    return launch(method, [LaunchRow("A run", None, made.config)], dry_run=dry_run)[0]


def deliver(job: Job) -> None:
    """Give a worker the messages of the Job, and of those parts that are not done."""
    runner.run(job.pk, task_id=fresh(job).task_id)
    for part in job.parts.exclude(state=PartState.DONE).order_by("number"):
        parts.run(part.pk, task_id=part.task_id)


def run(method: Method, made: Rows, *, dry_run: bool = False) -> Job:
    job = queued(method, made, dry_run=dry_run)
    deliver(job)
    return ended(job)


def ended(job: Job) -> Job:
    job = fresh(job)
    assert (job.status, job.error) == (JobState.SUCCESS, "")
    return job


@in_transactions
@pytest.mark.usefixtures("in_small_batches")
def test_dry_run_foretells_the_run_and_changes_nothing(method: Method) -> None:
    made = make_rows_for(method.key)
    known, before = known_rows(), tables()
    dry = run(method, made, dry_run=True)
    assert tables() == before
    real = run(method, made)
    assert tables() != before
    assert announced(dry, known) == announced(real, known)
    assert (figures(dry), dry.outcome) == (figures(real), real.outcome)
    assert dry.parts.count() == real.parts.count() > 1


@in_transactions
@pytest.mark.usefixtures("in_small_batches")
def test_run_is_reverted_exactly(method: Method) -> None:
    made = make_rows_for(method.key)
    before = exactly(rows())
    job = run(method, made)
    assert exactly(rows()) != before
    assert stale_counts() == []
    assert left(revert(job)) == []
    assert exactly(rows()) == before
    assert stale_counts() == []


class KilledError(BaseException):
    """What no worker catches."""


def disturb(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the worker in every third batch, before its commit, and pause the Job in others."""
    calls = 0
    process = method.process

    def disturbed(task: BasePostProcessingTask, batch: Batch) -> None:
        nonlocal calls
        calls += 1
        process(task, batch)
        assert task.job
        if calls % 3 == 1:
            raise KilledError
        if calls % 3 == 2:
            race(partial(fresh(task.job).pause))  # not in the batch's transaction

    monkeypatch.setattr(method, "process", disturbed)


def until_it_ends(job: Job) -> Job:
    for _ in range(500):
        try:
            deliver(job)
        except KilledError:
            continue
        if fresh(job).status == JobState.PAUSED:
            assert fresh(job).resume()
        elif fresh(job).is_final:
            return ended(job)
    raise AssertionError("The Job does not end.")


def left_by(job: Job, marks: dict[str, int]) -> dict[str, str]:
    """Everything that the Job left, its own number left out."""
    likeness = Likeness(marks).of(job)
    own = f'"job_id": {job.pk}'
    return {what: repr(value).replace(own, '"job_id": "own"') for what, value in likeness.items()}


@in_transactions
@pytest.mark.usefixtures("in_small_batches")
def test_run_that_is_killed_and_paused_ends_like_an_undisturbed_one(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_rows_for(method.key)
    marks = highest_ids()
    calm = run(method, made)
    expected = left_by(calm, marks)
    assert left(revert(calm)) == []
    disturb(method, monkeypatch)
    job = until_it_ends(queued(method, made))
    found = left_by(job, marks)
    assert job.parts.count() > 1
    for what, value in expected.items():
        assert found[what] == value, what


@in_transactions
@pytest.mark.usefixtures("in_small_batches")
def test_second_run_writes_nothing(method: Method) -> None:
    made = make_rows_for(method.key)
    assert run(method, made).changes.exists()
    before = tables()
    assert not run(method, made).changes.exists()
    assert tables() == before


@in_transactions
@pytest.mark.usefixtures("in_small_batches")
def test_faulty_rows_are_named_and_the_rest_is_done(method: Method) -> None:
    made = make_rows_for(method.key)
    job = run(method, made)
    assert job.outcome == Outcome.PROBLEMS
    told = {name: count for name, count in figures(job).items() if name.startswith("Skipped: ")}
    assert told == {f"Skipped: {reason}": count for reason, count in made.faults.items()}
    log = "\n".join(job.logs.values_list("message", flat=True))
    for reason, count in made.faults.items():
        assert f"Skipped {count}: {reason}. Ids: " in log
    assert job.changes.exists()


def queries_of(method: Method, *, nights: int) -> int:
    """How many a batch of everything takes; it leaves nothing."""
    with transaction.atomic():
        task = method(**make_rows_for(method.key, nights=nights).config)
        task.prepare()
        assert task.algorithm
        largest = max(task.plan(), key=lambda batch: batch.rows)
        with CaptureQueriesContext(connection) as queries:
            task.work_on(largest)
        transaction.set_rollback(True)
    return len(queries)


@pytest.mark.django_db
def test_number_of_queries_does_not_grow_with_the_batch(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ONE_BATCH.items():
        monkeypatch.setattr(method, name, value)
    assert queries_of(method, nights=1) == queries_of(method, nights=4)


def sent(method: Method, made: Rows, selection: QuerySet[Any]) -> dict[str, Any]:
    """What a browser sends of the method's form, left as it is drawn but for what it demands."""
    data: dict[str, Any] = {}
    for name, field in form_class_for(method)(scope_queryset=selection).fields.items():
        value = made.options.get(name, field.initial)
        if isinstance(value, dict):
            data |= {f"{name}_{key}": number for key, number in value.items()}
        elif value not in (None, False):
            data[name] = value
    return data


@pytest.mark.django_db
def test_form_validates_its_defaults(method: Method) -> None:
    made = make_rows_for(method.key)
    selection = SourceImageCollection.objects.all()
    form = form_class_for(method)(sent(method, made, selection), scope_queryset=selection)
    assert form.is_valid(), form.errors
    parse_config(method.config_schema, made.config | form.to_config())


@pytest.mark.django_db
def test_exactly_one_scope_and_known_options_are_taken(method: Method) -> None:
    made = make_rows_for(method.key)
    other = scopes_of(method.config_schema)[-1].field
    assert other not in made.config
    for config in (made.options, made.config | {other: 1}, made.config | {"unheard_of": 1}):
        with pytest.raises(ConfigValidationErrors):
            parse_config(method.config_schema, config)


@pytest.mark.django_db
def test_method_is_offered_and_can_be_tried_where_it_runs(
    method: Method, client: Client, operator: User
) -> None:
    made = make_rows_for(method.key)
    for scope in scopes_of(method.config_schema):
        url = reverse(f"admin:{scope.model._meta.label_lower.replace('.', '_')}_changelist")
        action = f"run_{method.key}"
        assert f'<option value="{action}">' in client.get(url).text
        row = scope.model._default_manager.earliest("pk")
        assert 'name="_dry_run"' in post(client, [row.pk], url=url, action=action).text
        data = sent(method, made, scope.model._default_manager.filter(pk=row.pk))
        fields = {"launch_key": uuid4(), "_dry_run": "on", **data}
        assert "a dry run" in told(post(client, [row.pk], url=url, action=action, **fields))[0]
        job = Job.objects.latest("pk")
        assert (job.dry_run, job.params["config"][scope.field]) == (True, row.pk)


def test_method_is_on_the_command_line(method: Method, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_post_processing", method.key, list=True)
    assert capsys.readouterr().out.startswith(f"{method.key} (--")


def test_method_has_tests_and_a_page_of_docs(method: Method) -> None:
    assert Path(__file__).with_name(f"test_{method.key}.py").exists()
    page = DOCS / f"{method.key}.md"
    assert page.exists()
    assert method.key in (DOCS / "index.md").read_text().split()
    for option in (*method.config_schema.__fields__, *method.counters):
        assert option in page.read_text(), option


@pytest.mark.django_db
def test_method_has_rows_with_faults_and_its_page_names_them(method: Method) -> None:
    made = make_rows_for(method.key)
    assert made.faults
    page = " ".join((DOCS / f"{method.key}.md").read_text().split())
    for reason in made.faults:
        assert reason in page, reason

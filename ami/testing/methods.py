"""The tests that every method has to pass."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobChange, JobState
from ami.jobs.states import Outcome
from ami.main.models import Occurrence, Project, SourceImage, SourceImageCollection
from ami.ml.post_processing.admin import form_class_for
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.preview import preview, transitions
from ami.ml.post_processing.scopes import chosen_scope, scopes_of
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config
from ami.testing.foretelling import announced, known_rows, tables
from ami.testing.likeness import Likeness, highest_ids
from ami.testing.messages import KilledError, Messages
from ami.testing.records import exactly, left, rows, stale_counts
from ami.users.models import User

LONG = 1e6  # seconds, so that a busy machine gets no sample
SMALL_BATCHES = {"batch_size": 2, "part_batches": 2}
in_transactions = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Rows:
    """What :meth:`MethodTests.make_rows` has made.

    `faults` says how many rows the method must skip, by reason. `options` holds the options that
    the method needs besides its scope.
    """

    faults: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """The options of a run on the capture set of all captures."""
        captures = SourceImageCollection.objects.get()
        return {"source_image_collection_id": captures.pk, **self.options}


class MethodTests:
    """The tests of one method. Derive a class whose name begins with "Test" from it.

    `task_cls` is the method; it processes batches and accepts capture sets as its scope. The tests
    run it in batches of 2 detections and parts of 2 batches. They test the following:

    - A dry run announces exactly what the run does, and changes nothing.
    - The preview of a whole scope announces what the run does, and changes nothing.
    - A run is reverted exactly.
    - A run whose worker is killed and which is paused has the same result as an undisturbed one.
    - A second run writes nothing.
    - Rows with faults are skipped and reported, and the others are processed.
    - The number of queries does not depend on the size of a batch.
    - The form validates its own defaults, and the schema refuses unknown options.
    - The admin offers the method on each list of its scopes, and the command line knows it.
    """

    task_cls: type[BasePostProcessingTask]

    def make_rows(self, nights: int) -> Rows:
        """Make rows that the method changes, and some with each fault, `nights` times.

        Three nights must make at least three batches. A capture set of all captures is added.
        """
        raise NotImplementedError

    @pytest.fixture
    def messages(self, monkeypatch: pytest.MonkeyPatch) -> Messages:
        messages = Messages()
        monkeypatch.setattr(
            Celery, "send_task", lambda app, *args, **kw: messages.send_task(*args, **kw)
        )
        for name, value in SMALL_BATCHES.items():
            monkeypatch.setattr(self.task_cls, name, value)
        return messages

    @in_transactions
    def test_preview_and_dry_run_foretell_the_run_and_change_nothing(
        self, messages: Messages
    ) -> None:
        made = self._made()
        known, before = known_rows(), tables()
        task = self.task_cls(**made.config)
        foretold = preview(task, chosen_scope(task.config), seconds=LONG)
        assert tables() == before
        assert not JobChange.objects.exists()
        dry = self._run(messages, made, dry_run=True)
        assert tables() == before
        real = self._run(messages, made)
        assert tables() != before
        assert announced(dry, known) == announced(real, known)
        assert (dry.progress.figures, dry.outcome) == (real.progress.figures, real.outcome)
        assert dry.parts.count() == real.parts.count() > 1
        skipped = {f"Skipped: {reason}": rows for reason, rows in foretold.skipped.items()}
        counts = {name.replace("_", " ").capitalize(): n for name, n in foretold.counts.items()}
        assert counts | skipped == real.progress.figures
        assert foretold.transitions == transitions(real.pk)
        assert foretold.extent.is_whole

    @in_transactions
    def test_run_is_reverted_exactly(self, messages: Messages) -> None:
        made = self._made()
        before = exactly(rows())
        job = self._run(messages, made)
        assert exactly(rows()) != before
        assert stale_counts() == []
        assert left(_revert(messages, job)) == []
        assert exactly(rows()) == before
        assert stale_counts() == []

    @in_transactions
    def test_run_that_is_killed_and_paused_ends_like_an_undisturbed_one(
        self, messages: Messages, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = self._made()
        marks = highest_ids()
        calm = self._run(messages, made)
        expected = _left_by(calm, marks)
        assert left(_revert(messages, calm)) == []
        disturbed = self._disturb(monkeypatch)
        job = self._launched(made)
        for _ in range(500):
            messages.deliver()
            if _fresh(job).status != JobState.PAUSED:
                break
            assert _fresh(job).resume()
        assert disturbed.keys() == {"killed", "paused"}
        found = _left_by(_ended(job), marks)
        assert job.parts.count() > 1
        for what, value in expected.items():
            assert found[what] == value, what

    @in_transactions
    def test_faulty_rows_are_named_and_the_rest_is_done_once(self, messages: Messages) -> None:
        made = self._made()
        job = self._run(messages, made)
        assert job.outcome == (Outcome.PROBLEMS if made.faults else Outcome.SUCCEEDED)
        figures = job.progress.figures
        told = {name: count for name, count in figures.items() if name[:9] == "Skipped: "}
        assert told == {f"Skipped: {reason}": count for reason, count in made.faults.items()}
        log = "\n".join(job.logs.values_list("message", flat=True))
        for reason, count in made.faults.items():
            assert f"Skipped {count}: {reason}. Ids: " in log
        assert job.changes.exists()
        before = tables()
        assert not self._run(messages, made).changes.exists()
        assert tables() == before

    @pytest.mark.django_db
    def test_number_of_queries_does_not_grow_with_the_batch(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(self.task_cls, "batch_size", 10_000)
        assert self._queries(nights=1) == self._queries(nights=4)

    @pytest.mark.django_db
    def test_form_validates_its_defaults(self) -> None:
        made = self._made()
        selection = SourceImageCollection.objects.all()
        form = form_class_for(self.task_cls)(self._sent(made, selection), scope_queryset=selection)
        assert form.is_valid(), form.errors
        parse_config(self.task_cls.config_schema, made.config | form.to_config())

    @pytest.mark.django_db
    def test_exactly_one_scope_and_known_options_are_taken(self) -> None:
        made = self._made()
        others = {scope.field: 1 for scope in scopes_of(self.task_cls.config_schema)[1:]}
        refused = [made.options, made.config | {"unheard_of": 1}]
        refused += [made.config | {other: 1} for other in others.keys() - made.config.keys()]
        for config in refused:
            with pytest.raises(ConfigValidationErrors):
                parse_config(self.task_cls.config_schema, config)

    @pytest.mark.django_db
    def test_method_is_offered_and_can_be_tried_where_it_runs(self, client: Client) -> None:
        made = self._made()
        operator = User.objects.create_superuser(email="operator@example.org", password="")
        client.force_login(operator)
        for scope in scopes_of(self.task_cls.config_schema):
            url = reverse(f"admin:{scope.model._meta.label_lower.replace('.', '_')}_changelist")
            action = f"run_{self.task_cls.key}"
            assert f'<option value="{action}">' in client.get(url).text
            row = scope.model._default_manager.earliest("pk")
            chosen: dict[str, Any] = {"action": action, "_selected_action": [row.pk]}
            assert 'name="_dry_run"' in client.post(url, chosen).text
            sent = self._sent(made, scope.model._default_manager.filter(pk=row.pk))
            answer = client.post(url, chosen | sent | {"launch_key": uuid4(), "_dry_run": "on"})
            assert "a dry run" in str(next(iter(get_messages(answer.wsgi_request))))
            job = Job.objects.latest("pk")
            assert (job.dry_run, job.params["config"][scope.field]) == (True, row.pk)

    def test_method_is_on_the_command_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("run_post_processing", self.task_cls.key, list=True)
        assert capsys.readouterr().out.startswith(f"{self.task_cls.key} (--")

    def _made(self, *, nights: int = 3) -> Rows:
        made = self.make_rows(nights)
        complete_rows()
        return made

    def _launched(self, made: Rows, *, dry_run: bool = False) -> Job:
        return launch(self.task_cls, [LaunchRow("A run", None, made.config)], dry_run=dry_run)[0]

    def _run(self, messages: Messages, made: Rows, *, dry_run: bool = False) -> Job:
        job = self._launched(made, dry_run=dry_run)
        messages.deliver()
        return _ended(job)

    def _disturb(self, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
        """Kill the worker in every third batch, before its commit, and pause the Job in others."""
        disturbed: Counter[str] = Counter()
        process = self.task_cls.process
        turn = cycle(["killed", "paused", ""])

        def disturb(task: BasePostProcessingTask, batch: Batch) -> None:
            process(task, batch)
            assert task.job
            if what := next(turn):
                disturbed[what] += 1
            if what == "killed":
                raise KilledError
            if what == "paused":
                _pause_beside(task.job)

        monkeypatch.setattr(self.task_cls, "process", disturb)
        return disturbed

    def _queries(self, *, nights: int) -> int:
        """The number of queries of one batch of all rows, which is rolled back."""
        with transaction.atomic():
            task = self.task_cls(**self._made(nights=nights).config)
            task.prepare()
            assert task.algorithm
            largest = max(task.plan(), key=lambda batch: batch.rows)
            with CaptureQueriesContext(connection) as queries:
                task.work_on(largest)
            transaction.set_rollback(True)
        return len(queries)

    def _sent(self, made: Rows, selection: QuerySet[Any]) -> dict[str, Any]:
        """What a browser sends for the form as it is shown, with the options that are needed."""
        data: dict[str, Any] = {}
        form = form_class_for(self.task_cls)(scope_queryset=selection)
        for name, drawn in form.fields.items():
            value = made.options.get(name, drawn.initial)
            if isinstance(value, dict):
                data |= {f"{name}_{key}": number for key, number in value.items()}
            elif value not in (None, False):
                data[name] = value
        return data


def complete_rows() -> None:
    """Determine all occurrences, and make a capture set of all captures."""
    for occurrence in Occurrence.objects.order_by("pk"):
        occurrence.save()
    everything = SourceImageCollection.objects.create(
        project=Project.objects.earliest("pk"), name="All captures"
    )
    everything.images.set(SourceImage.objects.all())


def _fresh(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def _ended(job: Job) -> Job:
    job = _fresh(job)
    assert (job.status, job.error) == (JobState.SUCCESS, "")
    return job


def _revert(messages: Messages, job: Job) -> Job:
    revert = request_revert(job)
    messages.deliver()
    return _ended(revert)


def _pause_beside(job: Job) -> None:
    """Pause the Job through another connection, outside the transaction of the batch."""

    def pause() -> None:
        try:
            _fresh(job).pause()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(pause).result()


def _left_by(job: Job, marks: dict[str, int]) -> dict[str, str]:
    """Everything that the Job left, except its own id."""
    likeness = Likeness(marks).of(job)
    own = f'"job_id": {job.pk}'
    return {what: repr(value).replace(own, '"job_id": "own"') for what, value in likeness.items()}

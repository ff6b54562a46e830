"""What every method is: a key, a name, a schema of options, and `process(batch)`."""

import logging
from abc import ABC
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from pydantic import BaseModel

from ami.jobs.batches import job_batch
from ami.jobs.models import Job
from ami.jobs.states import JobFailedError
from ami.main.determinations import update_determinations
from ami.ml.models import Algorithm, AlgorithmTaskType
from ami.ml.post_processing.batches import OCCURRENCE, Batch, Unit, plan_batches
from ami.ml.post_processing.scopes import chosen_scope

SAMPLES = 20


class BasePostProcessingTask:
    """A method, set up with its options; :meth:`run` runs it.

    A concrete subclass declares `key`, `name` and `config_schema`, and either `process` or a
    `run` of its own; TypeError at its definition names what is missing. `counters` lists the
    figures that are shown even while they are 0, `unit` names what no batch splits. Raises
    pydantic's ValidationError for options that the schema refuses.
    """

    key: ClassVar[str]
    name: ClassVar[str]
    config_schema: ClassVar[type[BaseModel]]
    description: ClassVar[str] = ""
    counters: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[Unit] = OCCURRENCE
    batch_size: ClassVar[int] = 20_000

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if ABC in cls.__bases__ or _abstract_methods(cls):
            return
        missing = [n for n in ("key", "name", "config_schema") if not getattr(cls, n, None)]
        base = BasePostProcessingTask
        if cls.run is base.run and cls.process is base.process:
            missing.append("process")
        if missing:
            raise TypeError(f"{cls.__name__} must define {', '.join(missing)}.")
        if not (isinstance(cls.config_schema, type) and issubclass(cls.config_schema, BaseModel)):
            raise TypeError(f"{cls.__name__}.config_schema must be a pydantic model class.")

    def __init__(
        self, job: Job | None = None, logger: logging.Logger | None = None, **config: Any
    ) -> None:
        self.job = job
        self.config: Any = self.config_schema(**config)
        self.logger = logger or (job.logger if job else logging.getLogger(__name__))
        self.counts: Counter[str] = Counter(dict.fromkeys(self.counters, 0))
        self.skipped: dict[str, list[int]] = {}

    @cached_property
    def algorithm(self) -> Algorithm:
        """The author of what this method writes; its row is made when first asked for.

        Raises JobFailedError where another algorithm has its name.
        """
        fields = {
            "name": self.name,
            "task_type": AlgorithmTaskType.POST_PROCESSING,
            "description": self.description,
        }
        try:
            return Algorithm.objects.get_or_create(key=self.key, defaults=fields)[0]
        except IntegrityError:
            raise JobFailedError(
                f"The algorithm {self.name!r} exists under another key than {self.key!r}; "
                "rename it, or give it another version."
            ) from None

    def run(self) -> None:
        """Process the chosen scope, a batch a transaction."""
        scope, pk = chosen_scope(self.config)
        self.report_stage_metrics(self.counts)
        batches = plan_batches(scope.detections([pk]), size=self.batch_size, unit=self.unit)
        total = sum(batch.size for batch in batches)
        self.logger.info("Detections in scope: %d, in batches: %d.", total, len(batches))
        self.prepare()
        done = 0
        try:
            for batch in batches:
                done += batch.size
                with self._transaction():
                    self.process(batch)
                    self._report(self.counts, progress=done / total)
        finally:
            self._log_skipped()
        self.update_progress(1.0)

    def prepare(self) -> None:
        """What a run needs once, before its first batch. Nothing by default."""

    def process(self, batch: Batch) -> None:
        """Do the method's work on one batch, in a number of queries that its size leaves alone."""
        raise TypeError(f"{type(self).__name__} overrides run() and processes no batches.")

    def count(self, **figures: int) -> None:
        """Add to the run's counters."""
        self.counts.update(figures)

    def skip(self, reason: str, *, rows: int, ids: Iterable[int]) -> None:
        """Count rows that cannot be worked on, by reason; the log names the first 20 `ids`."""
        self.counts[f"Skipped: {reason}"] += rows
        samples = self.skipped.setdefault(reason, [])
        samples += list(ids)[: SAMPLES - len(samples)]

    def update_determinations(self, occurrence_ids: Iterable[int]) -> None:
        """Apply the determination rule and count what it changed."""
        changes = update_determinations(occurrence_ids)
        taxa = sum(change.taxon_changed for change in changes)
        self.count(occurrences_updated=taxa, scores_refreshed=len(changes) - taxa)

    def update_progress(self, progress: float) -> None:
        """Report the share done, from 0 to 1."""
        self._report({}, progress=progress)

    def report_stage_metrics(self, metrics: dict[str, Any]) -> None:
        """Show figures on the Job's page; without a Job they become a line of the log."""
        if self.job is None:
            self.logger.info("%s: %s", self.name, dict(metrics))
            return
        self._report(metrics)

    def _report(self, metrics: dict[str, Any], *, progress: float | None = None) -> None:
        if self.job is None:
            return
        stage = self.job.progress.add_stage(self.name, key=self.key)
        for key, value in metrics.items():
            self.job.progress.add_or_update_stage_param(stage, _title(key), value)
        if progress is not None:
            stage.progress = max(0.0, min(progress, 1.0))  # 0 for NaN
        self.job.checkpoint()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One batch: all of its rows, counters and progress, or none of them."""
        former = deepcopy((self.counts, self.skipped))
        try:
            with job_batch(self.job) if self.job else transaction.atomic():
                yield
        except BaseException:
            self.counts, self.skipped = former
            raise

    def _log_skipped(self) -> None:
        for reason, ids in self.skipped.items():
            self.logger.warning(
                "Skipped %d: %s. Ids: %s%s",
                (rows := self.counts[f"Skipped: {reason}"]),
                reason,
                ", ".join(map(str, ids)),
                ", …" if rows > len(ids) else ".",
            )
        if self.job is None:
            self.report_stage_metrics(self.counts)


def _abstract_methods(cls: type) -> list[str]:
    members = [(name, getattr(cls, name, None)) for name in dir(cls)]
    return [name for name, member in members if getattr(member, "__isabstractmethod__", False)]


def _title(key: str) -> str:
    return (key[:1].upper() + key[1:]).replace("_", " ")

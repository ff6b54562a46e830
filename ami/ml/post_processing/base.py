"""The base class of every method: a key, a name, a schema of options, and `process(batch)`."""

import json
import logging
from abc import ABC
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from numpy.typing import ArrayLike
from pydantic import BaseModel

from ami.jobs.engine.parts import run_here
from ami.jobs.engine.work import SAMPLES, Planned, PlannedWork, WholeWork
from ami.jobs.models import Job
from ami.jobs.states import JobFailedError
from ami.jobs.summary import skipped_sentences
from ami.main.counts import refresh_counts
from ami.main.determinations import update_determinations
from ami.main.models import Detection
from ami.ml.models import Algorithm, AlgorithmTaskType
from ami.ml.post_processing.batches import OCCURRENCE, Batch, Unit, plan_batches
from ami.ml.post_processing.changes import Change
from ami.ml.post_processing.measures import Gauge, Measure
from ami.ml.post_processing.scopes import Chosen, chosen_scope, written_options


class BasePostProcessingTask(PlannedWork):
    """A method with its options; :meth:`run` runs it.

    A concrete subclass declares `key`, `name` and `config_schema`, and overrides `process` or
    `run`; otherwise its definition raises TypeError with the names that are missing. A subclass
    that overrides neither `process` nor `run` is abstract: it may leave all of these to its
    subclasses, and can be neither instantiated nor registered. `counters` lists the figures that
    are shown even if they are 0; `unit` is what no batch splits; `measure` is the quantity that the
    preview draws; `docs` is the address of its page of documentation, which may be relative to
    `DOCS_URL`. Raises pydantic's ValidationError for options that the schema refuses.
    """

    config_schema: ClassVar[type[BaseModel]]
    description: ClassVar[str] = ""
    docs: ClassVar[str] = ""
    unit: ClassVar[Unit] = OCCURRENCE
    batch_size: int = 20_000
    measure: ClassVar[Measure | None] = None
    gauge: Gauge | None = None  # only in a preview

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if ABC in cls.__bases__ or not cls._does_something() or _abstract_methods(cls):
            return
        if missing := cls.missing():
            raise TypeError(f"{cls.__name__} must define {', '.join(missing)}.")
        if not (isinstance(cls.config_schema, type) and issubclass(cls.config_schema, BaseModel)):
            raise TypeError(f"{cls.__name__}.config_schema must be a pydantic model class.")

    def __init__(
        self, job: Job | None = None, logger: logging.Logger | None = None, **config: Any
    ) -> None:
        if missing := self.missing():
            name = type(self).__name__
            raise TypeError(f"{name} cannot be instantiated: it must define {', '.join(missing)}.")
        super().__init__()
        self.job = job
        self.config: Any = self.config_schema(**config)
        self.logger = logger or (job.logger if job else logging.getLogger(__name__))

    @cached_property
    def scope(self) -> QuerySet[Detection]:
        """The detections that the options name. Raises JobFailedError if a row no longer exists."""
        return self._chosen.scope.detections(self._chosen.ids)

    @cached_property
    def algorithm(self) -> Algorithm:
        """The algorithm that this method writes as; its row is created on first access.

        Raises JobFailedError if another algorithm has its name.
        """
        return get_author(self.key, name=self.name, description=self.description)

    @classmethod
    def missing(cls) -> list[str]:
        """The names that this class must still define before the method can be run."""
        missing = [n for n in ("key", "name", "config_schema") if not getattr(cls, n, None)]
        return missing + (_abstract_methods(cls) if cls._does_something() else ["process or run"])

    @classmethod
    def _does_something(cls) -> bool:
        base = BasePostProcessingTask
        return cls.run is not base.run or cls.process is not base.process

    @classmethod
    def has_own_run(cls) -> bool:
        """Whether it overrides `run`, and so has its own transactions, no dry run and no parts."""
        return cls.run is not BasePostProcessingTask.run

    @classmethod
    def compares(cls) -> bool:
        """Whether it overrides `compare`."""
        return cls.compare is not BasePostProcessingTask.compare

    @classmethod
    def nothing_in(cls, detections: QuerySet[Detection]) -> str | None:
        """Why the method has nothing to do on `detections`, whatever its options.

        A sentence for the page of options; None if there may be something to do. By default, there
        is nothing to do only if there is no detection.
        """
        return None if detections.exists() else "There is no detection in scope."

    def nothing_to_do(self) -> str | None:
        return self.nothing_in(self.scope)

    def decisions(self) -> list[str]:
        """The options with their labels; a method adds what it consults."""
        options = written_options(self.config_schema, json.loads(self.config.json()))
        told = "; ".join(f"{label}: {value}" for label, value in options)
        return [f"Options: {told}."] if told else []

    def run(self) -> None:
        """Process the chosen scope in this process, with one transaction per batch."""
        if self.job:
            run_here(self.job, self)
            return
        planned = self.plan()
        self.prepare()
        try:
            for batch in planned:
                with transaction.atomic():
                    self.work_on(batch)
                    refresh_counts()
        finally:
            for sentence in skipped_sentences(self.skipped):
                self.logger.warning(sentence)
        self.report_stage_metrics(self.counts)

    def plan(self) -> list[Planned]:
        if foreign := self._chosen.foreign:
            noun = self._chosen.scope.model._meta.verbose_name_plural
            self.skip(f"{noun} of another project", rows=len(foreign), ids=foreign)
        if self.gauge is not None:
            return []  # a preview picks units itself
        return plan_batches(self.scope, size=self.batch_size, unit=self.unit)

    def split(self, batch: Planned) -> list[Planned]:
        rows = self._batch(batch).detections
        halves = plan_batches(rows, size=max(1, batch.rows // 2), unit=self.unit)
        return halves if len(halves) > 1 else plan_batches(rows, size=1, unit=self.unit)

    def fault_ids(self, batch: Planned) -> list[int]:
        ids = self._batch(batch).detections.order_by("pk").values_list("pk", flat=True)
        return list(ids[:SAMPLES])

    def touched(self) -> QuerySet[Detection]:
        if self.unit == OCCURRENCE:
            return self.scope
        units = self.scope.values(self.unit.column)
        return Detection.objects.filter(
            Q(**{f"{self.unit.column}__in": units}) | Q(pk__in=self.scope.values("pk"))
        )

    def work_on(self, batch: Planned) -> None:
        self.process(self._batch(batch))

    def rolled_back(self) -> None:
        self.__dict__.pop("algorithm", None)

    def prepare(self) -> None:
        """Prepare a worker for a part, before its first batch. Does nothing by default."""

    def process(self, batch: Batch) -> None:
        """Process one batch. The number of queries must not grow with the size of the batch."""
        raise TypeError(f"{type(self).__name__} overrides run() and processes no batches.")

    def compare(self, batch: Batch, configs: Sequence[Any]) -> Iterator[Change]:
        """What `process` would change of the batch with each of these options.

        The options differ from those of the task in numbers only. It reads the batch once, and
        writes nothing. Only methods that override it offer a comparison of values.
        """
        raise TypeError(f"{type(self).__name__} does not compare options.")

    def measured(
        self,
        detections: Sequence[int],
        values: ArrayLike,
        *,
        series: str = "",
        others: Sequence[int] = (),
    ) -> None:
        """Show the preview the values of `measure`, one per detection; in a run, do nothing.

        `others` holds the detections at the other ends if the values are those of links.
        """
        if self.gauge is not None:
            self.gauge.add(series, detections, values, others)

    def update_determinations(self, occurrence_ids: Iterable[int]) -> None:
        """Apply the determination rule to these occurrences and count the changes."""
        changes = update_determinations(occurrence_ids)
        taxa = sum(change.taxon_changed for change in changes)
        self.count(occurrences_updated=taxa, scores_refreshed=len(changes) - taxa)

    def update_progress(self, progress: float) -> None:
        """Report the share done, from 0 to 1."""
        self._report({}, progress=progress)

    def report_stage_metrics(self, metrics: dict[str, Any]) -> None:
        """Show figures on the Job's page; without a Job, log them in one line."""
        if self.job is None:
            self.logger.info("%s: %s", self.name, dict(metrics))
            return
        self._report(metrics)

    def _report(self, metrics: dict[str, Any], *, progress: float | None = None) -> None:
        if self.job is None:
            return
        stage = self.job.progress.add_stage(self.name, key=self.key)
        for key, value in metrics.items():
            self.job.progress.add_or_update_stage_param(stage, key, value)
        stage.skipped = {reason: skipped.rows for reason, skipped in self.skipped.items()}
        if progress is not None:
            stage.progress = progress
        self.job.checkpoint()

    @cached_property
    def _chosen(self) -> Chosen:
        return chosen_scope(self.config, project_id=self.job.project_id if self.job else None)

    def _batch(self, batch: Planned) -> Batch:
        return Batch(self._chosen, self.unit, *batch.key)


class OwnRun(WholeWork):
    """A method that overrides `run`, wrapped for the engine."""

    def __init__(self, task: BasePostProcessingTask) -> None:
        super().__init__()
        self.task = task
        self.key, self.name = task.key, task.name
        self.counters, self.warnings = task.counters, task.warnings

    def run(self) -> None:
        self.task.run()
        self.task.report_stage_metrics(+self.task.counts)

    def touched(self) -> QuerySet[Detection]:
        return self.task.touched()

    def nothing_to_do(self) -> str | None:
        return self.task.nothing_to_do()

    def decisions(self) -> list[str]:
        return self.task.decisions()


def get_author(key: str, *, name: str, **fields: Any) -> Algorithm:
    """The algorithm that a method writes as; its row is created if it is missing.

    Raises JobFailedError if another algorithm has its name.
    """
    fields |= {"name": name, "task_type": AlgorithmTaskType.POST_PROCESSING}
    try:
        return Algorithm.objects.get_or_create(key=key, defaults=fields)[0]
    except IntegrityError:
        raise JobFailedError(
            f"The algorithm {name!r} already exists with a key other than {key!r}; "
            "rename it, or give it another version."
        ) from None


def _abstract_methods(cls: type) -> list[str]:
    members = [(name, getattr(cls, name, None)) for name in dir(cls)]
    return [name for name, member in members if getattr(member, "__isabstractmethod__", False)]

"""A walk: random rows, and random steps of operators and people, each followed by all checks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Value
from hypothesis import strategies as st

from ami.exchange.tests.walked import import_of, shift_of
from ami.integrity.finding import EVERYTHING
from ami.integrity.service import new_repair
from ami.jobs.engine import runner
from ami.jobs.journal.revert import refusal, request_revert
from ami.jobs.models import Job, JobChange
from ami.jobs.service import (
    ApplyRefusedError,
    RunAgainRefusedError,
    can_run_again,
    create_jobs,
    run_again,
)
from ami.jobs.states import PartState
from ami.jobs.tests.revert_fates import done, foretold
from ami.jobs.tests.walking_rows import SCORES, SPOTS, Night, Node, apart_from
from ami.jobs.tests.workers import Broker, assert_sound
from ami.main.checks.declarations import CHECKS
from ami.main.determinations import update_determinations
from ami.main.models import Classification, Detection, Identification, Occurrence
from ami.ml.post_processing.again import apply, can_apply
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.scopes import scopes_of
from ami.ml.post_processing.service import LaunchRow, launch
from ami.testing.records import exactly, rows

OPTIONS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "small_size_filter": st.fixed_dictionaries(
        {"size_threshold": st.sampled_from([0.0001, 0.001, 0.5])}
    ),
    "static_boxes": st.fixed_dictionaries(
        {
            "iou": st.sampled_from([0.5, 0.9]),
            "places": st.sets(st.integers(0, len(SPOTS) - 1)).map(sorted),
        }
    ),
    "rank_rollup": st.fixed_dictionaries(
        {
            "thresholds": st.sampled_from(
                [{"SPECIES": 0.6, "GENUS": 0.6}, {"GENUS": 0.5}, {"SPECIES": 0.95, "FAMILY": 0.3}]
            ),
            "lineage": st.sampled_from(["constrained", "global"]),
        }
    ),
    "class_masking": st.fixed_dictionaries(
        {"reweight": st.booleans(), "only_when_taxon_changes": st.booleans()}
    ),
    "track_consensus": st.fixed_dictionaries(
        {
            "rule": st.sampled_from(["mean", "log_mean", "best"]),
            "min_frames": st.integers(2, 3),
        }
    ),
    "tracking": st.fixed_dictionaries(
        {
            "geometry_cost_threshold": st.sampled_from([0.2, 0.8, 3.0]),
            "max_gap_captures": st.integers(1, 2),
        }
    ),
}
NUMBER = st.integers(0, 99)
OTHERS = (
    *("apply", "run_again", "resume", "repair", "revert", "revert"),
    *("import_file", "import_file", "shift_clock"),
    *("identify", "withdraw", "edit", "add"),
)

# Classifications of a detection; the last of these has logits only.
vectors = st.lists(st.integers(0, len(SCORES)), min_size=1, max_size=2)
sighting = st.tuples(
    st.integers(0, len(SPOTS) - 1),
    st.integers(0, 30),  # how far it has moved
    st.one_of(vectors, vectors, vectors, st.just([])),
    st.sampled_from(["own", "own", "own", "shared", "none"]),
)
nights = st.lists(st.lists(sighting, min_size=1, max_size=3), min_size=2, max_size=4)
methods = st.sampled_from(sorted(OPTIONS)).flatmap(
    lambda key: st.tuples(st.just(key), OPTIONS[key])
)
with_method = st.tuples(
    st.sampled_from(["run", "run", "run", "dry_run", "cancel_midway"]), methods, NUMBER
)
without = st.tuples(st.sampled_from(OTHERS), st.none(), NUMBER)
steps = st.lists(st.one_of(with_method, without), min_size=4, max_size=12)
Finding = tuple[str, str, int]  # the check, the table, and the row


class Step(NamedTuple):
    """The kind of step, the method and its options if it has one, and a number for choices."""

    name: str
    method: tuple[str, dict[str, Any]] | None
    number: int


class Walk(Night):
    """The Jobs of a walk, and the rows that people have changed."""

    def __init__(self, broker: Broker, sightings: list[Any], planted: set[int]) -> None:
        super().__init__(sightings, planted)
        self.broker = broker
        self.jobs: list[Job] = []
        self.touched: set[Node] = set()
        self.start = rows()
        self.known = {*self._findings(), *self._loose()}

    def take(self, step: Step) -> None:
        """Do a step if it is possible, and look for new faults."""
        getattr(self, step.name)(step)
        self.check()

    def check(self) -> None:
        new = set(self._findings()) - self.known
        assert not new, sorted(new)

    def _findings(self) -> Iterator[Finding]:
        """The findings of all checks, from one query."""
        first, *others = [
            found.order_by().values_list(
                Value(check.key), Value(found.model.__name__), "pk", named=False
            )
            for check in CHECKS.values()
            for found in (pair.get(None, None) for pair in check.pairs)
        ]
        yield from first.union(*others, all=True)

    def _loose(self) -> Iterator[Finding]:
        """Faults that were planted, and are found once a run has classified their rows."""
        for pk in Detection.objects.filter(occurrence=None).values_list("pk", flat=True):
            yield "detection_without_occurrence", "Detection", pk

    # What operators do.

    def run(self, step: Step, *, dry_run: bool = False) -> None:
        self._ended(self._launch(step, dry_run=dry_run))

    def dry_run(self, step: Step) -> None:
        self.run(step, dry_run=True)

    def cancel_midway(self, step: Step) -> None:
        job = self._launch(step, dry_run=False)
        self.broker.forget()
        runner.run(job.pk, task_id=job.task_id)
        self.broker.forget()
        waiting = job.parts.filter(state=PartState.QUEUED).order_by("number")
        for part in list(waiting)[: step.number % 3]:
            runner.run_part(part.pk, task_id=part.task_id)
        Job.objects.get(pk=job.pk).cancel()
        self._ended(job)

    def apply(self, step: Step) -> None:
        if job := self._chosen([job for job in self._fresh() if can_apply(job)], step):
            with self._unless_its_scope_is_gone():
                self._ended(apply(job, user=None, confirmed=True))

    def run_again(self, step: Step) -> None:
        if job := self._chosen([job for job in self._fresh() if can_run_again(job)], step):
            before = self._record(job)
            with self._unless_its_scope_is_gone():
                self._ended(run_again(job))
            assert self._record(job) == before

    @contextmanager
    def _unless_its_scope_is_gone(self) -> Iterator[None]:
        try:
            yield
        except (ApplyRefusedError, RunAgainRefusedError) as refused:
            assert str(refused).endswith("no longer exists.")  # noqa: PT017

    def resume(self, step: Step) -> None:
        if job := self._chosen([job for job in self._fresh() if job.can_resume], step):
            assert job.resume()
            self._ended(job)

    def repair(self, step: Step) -> None:
        checks = [check for check in CHECKS.values() if check.repair]
        one = checks[step.number % (len(checks) + 1) : step.number % (len(checks) + 1) + 1]
        self._ended(create_jobs([new_repair(one or checks, scope=EVERYTHING)])[0])

    def import_file(self, step: Step) -> None:
        self._ended(import_of(self.deployment, step.number))

    def shift_clock(self, step: Step) -> None:
        self._ended(shift_of(self.deployment, step.number))

    def revert(self, step: Step) -> None:
        if job := self._chosen([job for job in self._fresh() if refusal(job) is None], step):
            self._revert(job)

    def _revert(self, job: Job) -> Job:
        expected = foretold(job)
        reverting = self._ended(request_revert(job))
        assert done(reverting) == expected
        return reverting

    def revert_everything(self) -> list[Job]:
        """Revert all Jobs, the newest first, but not the reverts; return the reverts."""
        made = []
        for job in reversed(self._fresh()):
            job.refresh_from_db()
            if refusal(job) is None:
                made.append(self._revert(job))
                self.check()
        return made

    def _launch(self, step: Step, *, dry_run: bool) -> Job:
        assert step.method
        key, options = step.method
        task_cls = POSTPROCESSING_TASKS[key]
        if key == "class_masking":
            options = {
                **options,
                "taxa_list_id": self.taxa_list.pk,
                "algorithm_id": self.classifier.pk,
            }
        if key == "static_boxes":
            boxes = (",".join(map(str, SPOTS[spot])) for spot in options["places"])
            options = {**options, "places": [f"{self.deployment.pk}:{box}" for box in boxes]}
        scopes = scopes_of(task_cls.config_schema)
        scope = scopes[step.number % len(scopes)]
        row = scope.model._default_manager.order_by("pk")[:5]
        chosen = list(row)[step.number // len(scopes) % max(1, len(row))] if row else None
        config = {scope.field: chosen.pk} if chosen else {scopes[0].field: self.scope.pk}
        name = LaunchRow("Walked", self.deployment.project, options | config)
        return launch(task_cls, [name], dry_run=dry_run)[0]

    def _ended(self, job: Job) -> Job:
        self.broker.work_here()
        job = assert_sound(job)
        assert job.is_final
        assert job.outcome != "crashed", job.error
        if job.pk not in {one.pk for one in self.jobs}:
            self.jobs.append(job)
        return job

    def _fresh(self) -> list[Job]:
        return list(Job.objects.filter(pk__in=[job.pk for job in self.jobs]).order_by("pk"))

    def _chosen(self, choices: list[Any], step: Step) -> Any:
        return choices[step.number % len(choices)] if choices else None

    def _record(self, job: Job) -> str:
        changes = JobChange.objects.filter(job=job).order_by("pk").values()
        told = Job.objects.filter(pk=job.pk).values(), job.parts.order_by("pk").values()
        return repr([list(one) for one in (*told, changes)])

    # What people do.

    def identify(self, step: Step) -> None:
        if one := self._chosen(list(Occurrence.objects.order_by("pk")), step):
            taxon = self.species[step.number % 3]
            Identification.objects.create(occurrence=one, taxon=taxon, user=self.person)
            self._touch(occurrence=one.pk)

    def withdraw(self, step: Step) -> None:
        standing = Identification.objects.filter(withdrawn=False).order_by("pk")
        if one := self._chosen(list(standing), step):
            one.withdrawn = True
            one.save()
            self._touch(occurrence=one.occurrence_id)

    def edit(self, step: Step) -> None:
        """As the admin saves it."""
        if one := self._chosen(list(Classification.objects.order_by("pk")), step):
            with transaction.atomic():
                one.taxon, one.score = self.species[step.number % 3], step.number / 100
                one.save()
                if one.detection.occurrence_id:
                    update_determinations([one.detection.occurrence_id])
            self._touch(detection=one.detection_id)

    def add(self, step: Step) -> None:
        """A sighting, in an occurrence of its own, or beside another one."""
        captures = list(self.scope.images.order_by("pk"))
        capture = captures[step.number % len(captures)]
        with transaction.atomic():
            named = [step.number % (len(SCORES) + 1)]
            beside = 3 + capture.detections.count()  # two equal boxes would be a fault
            detection = self.make_detection(capture, step.number % 3, beside, named, "own")
            elsewhere = Occurrence.objects.exclude(detections=None).exclude(
                detections__source_image=capture
            )
            if others := list(elsewhere.order_by("pk")):
                other = others[step.number % len(others)]
                if step.number % 2 and other != detection.occurrence:
                    empty, detection.occurrence = detection.occurrence, other
                    detection.save()
                    assert empty
                    empty.delete()
            assert detection.occurrence_id
            update_determinations([detection.occurrence_id])
            self.count_anew()
        self._touch(detection=detection.pk)

    def _touch(self, **row: int) -> None:
        self.touched.update(row.items())

    def untouched(self, tables: dict[str, list[Any]]) -> str:
        """The rows that are not connected to any row that a person has changed."""
        return exactly(apart_from(self.touched, tables, self.start))

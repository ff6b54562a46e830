"""Imports as Jobs: the file is read once to find its faults, and once to write its rows."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from ami.base import audit
from ami.base.words import counted
from ami.exchange.base import ImportRefusedError, refresh_statistics, wait_for_turn
from ami.exchange.importing import decided
from ami.exchange.importing.boxless import items_of
from ami.exchange.importing.decided import ALGORITHMS, TAXA, Decided, Names
from ami.exchange.importing.file_work import CHANGED, FileWork
from ami.exchange.importing.options import ATOMIC_BELOW, ImportOptions
from ami.exchange.importing.parents import Parents, create_project, find_project
from ami.exchange.importing.survey import BATCH, BATCH_DETECTIONS, Survey, survey
from ami.exchange.importing.writing import WRITTEN, Portion
from ami.exchange.models import Import
from ami.exchange.plan import ImportPlan
from ami.exchange.reading.records import Item, OccurrenceRecord
from ami.exchange.reading.registry import READERS
from ami.jobs.engine.work import Planned
from ami.jobs.models import Job
from ami.main.models import Classification, Detection, Occurrence, Project, SourceImageCollection

CAPTURE_SET = "All captures"
LATE = "late"  # of the plan: what batches have decided
WAITS = "Another import is writing. This one begins when it has written its present batch."
# A set of all captures keeps those that it has.
FILL = """
INSERT INTO main_sourceimagecollection_images (sourceimagecollection_id, sourceimage_id)
SELECT %(set)s, id FROM main_sourceimage WHERE project_id = %(project)s
ON CONFLICT DO NOTHING
"""


class ImportWork(FileWork):
    """Writes the occurrences and detections of a file.

    A dry run is one batch, as an import of all or nothing is, so that no row is told twice.
    """

    counters = ("occurrences_created", "detections_created", "classifications_created")
    schema = ImportOptions

    def __init__(
        self,
        job: Job,
        *,
        on_items: Callable[[int, int], object] | None = None,
        on_wait: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(job)
        self.reader = READERS[self.form.key]
        self.on_items, self.on_wait = on_items, on_wait
        self._parents: Parents | None = None
        self._items: Iterator[Item] = iter(())
        self._next: int | None = None  # the number of the next item
        self._total = 0

    def touched(self) -> QuerySet[Detection]:
        project = self._project()
        if project is None:
            return Detection.objects.none()
        return Detection.objects.filter(source_image__project=project)

    def plan(self) -> list[Planned]:
        project = self._project()
        try:
            with self._beating():
                found = survey(
                    self.reader,
                    self._path(),
                    self.options,
                    project_id=project.pk if project else None,
                )
        except ImportRefusedError as refused:
            raise self._failed(refused) from None
        # Only now the names of the file are known.
        self.basis = {**self.basis, **decided.consult(found.names)}
        self._note_rows()
        return self._planned(found)

    def consult_names(self) -> dict[str, Any]:
        """What they stand for, as if the import itself had made no rows."""
        planned = vars(self).get("basis", {})
        if TAXA not in planned:
            return {}
        names = Names(set(planned[TAXA]), set(planned[ALGORITHMS]))
        return self._decided().as_planned(decided.consult(names))

    def _decided(self) -> Decided:
        if self._parents:
            return self._parents.decided
        stored = Import.objects.filter(job=self.job).values_list(f"plan__{LATE}", flat=True)
        return Decided(self.basis, stored.first() or {})

    def _notes(self) -> dict[str, Any]:
        return {LATE: self._parents.decided.late} if self._parents else {}

    def _planned(self, found: Survey) -> list[Planned]:
        self._total = found.items
        atomic = self.options.atomic
        if self.job.dry_run or (found.detections < ATOMIC_BELOW if atomic is None else atomic):
            return [Planned(found.items, [0, True, found.repeated])]
        last = len(found.batches) - 1
        return [
            Planned(
                batch.items,
                [batch.first, number == last, found.repeated_in(batch.first, batch.items)],
            )
            for number, batch in enumerate(found.batches)
        ]

    def work_on(self, batch: Planned) -> None:
        """Write the items of a batch; of a large one, some at a time."""
        first, is_last, repeated = batch.key
        self._plan = ImportPlan()
        with self._beating():
            wait_for_turn("import_occurrences", on_wait=self._tell_wait)
            try:
                parents = self._found_parents()
                same = {(item, nth): place for item, nth, place in repeated}
                for items in self._portions(first, batch.rows, same):
                    portion = Portion(items, parents, self._plan, self.options)
                    portion.write()
                    self._count(portion)
                if is_last:
                    self._finish(parents.project)
            except ImportRefusedError as refused:
                raise self._failed(refused) from None
        self._next = first + batch.rows

    def _tell_wait(self) -> None:
        """Tell at once what the import waits for; the heart writes the line while it waits."""
        self.job.logger.info(WAITS)
        if self.on_wait:
            self.on_wait(f"Job {self.job.pk}: {WAITS}")

    def rolled_back(self) -> None:
        self._parents = self._next = None

    def _project(self) -> Project | None:
        """Return the project of the Job, or the one of the name; None if it is to be created."""
        try:
            return self.job.project or find_project(self.project_name)
        except ImportRefusedError as refused:
            raise self._failed(refused) from None

    def _found_parents(self) -> Parents:
        if self._parents is None:
            project = self._project()
            if project is None:
                project = create_project(self.project_name, self._plan, owner=self.job.user)
            if self.job.project is None:
                Job.objects.filter(pk=self.job.pk).update(project=project)
                Import.objects.filter(job=self.job).update(project=project)
            # The rollback of a dry run undoes the statistics, but not the number of rows in them.
            refresh_statistics(*WRITTEN)
            self._parents = Parents(project, self._decided())
        return self._parents

    def _portions(
        self, first: int, number: int, same: Mapping[tuple[int, int], str]
    ) -> Iterator[list[Item]]:
        """Yield the items from `first` on, as many at once as fit into memory.

        `same` holds the places of the detections whose boxes are repeated, by item and detection.
        """
        if self._next != first:
            self._items = items_of(self.reader, self._same_path(), self.options)
            self._recall(first)
        self._next = None
        portion: list[Item] = []
        detections = read = 0
        for item in islice(self._items, number):
            portion.append(item)
            if isinstance(item, OccurrenceRecord):
                detections += len(item.detections)
                for nth, one in enumerate(item.detections) if same else ():
                    one.same_as = same.get((first + read, nth), "")
            read += 1
            if len(portion) >= BATCH or detections >= BATCH_DETECTIONS:
                self.job.raise_if_canceled()
                yield portion
                portion, detections = [], 0
        if portion:
            yield portion
        if read != number:
            raise self._failed(f"{self._path()} {CHANGED}")

    def _recall(self, number: int) -> None:
        """Skip the first items, which were written, so that the plan does not tell them again."""
        former = islice(self._items, number)
        while items := list(islice(former, BATCH)):
            Portion(items, self._found_parents(), ImportPlan(), self.options).recall()

    def _count(self, portion: Portion) -> None:
        created = portion.created
        self.count(
            occurrences_created=created[Occurrence],
            detections_created=created[Detection],
            classifications_created=created[Classification],
        )
        if self.on_items:
            self.on_items(len(portion.items), self._total)

    def _finish(self, project: Project) -> None:
        """Complete the capture set, and what PostgreSQL knows about the tables."""
        if not (self._plan.writes or self._continues):
            return
        if self._parents and self._parents.new_to_statistics:
            refresh_statistics(*WRITTEN)
        fill_capture_set(project)
        imported = counted(self.counts["occurrences_created"], "occurrence")
        audit.record(
            [project],
            kind=audit.Kind.IMPORT,
            user=self.job.user,
            message=f"Imported {imported} from a file.",
        )

    @property
    def _continues(self) -> bool:
        """Whether former batches may have written rows."""
        return bool(self.job.held and self.job.held.cursor)


def fill_capture_set(project: Project) -> None:
    """Add all captures of the project to its set of all captures, which is created if need be."""
    known = SourceImageCollection.objects.filter(project=project, name=CAPTURE_SET)
    whole = known.order_by("pk").first() or SourceImageCollection.objects.create(
        project=project, name=CAPTURE_SET, method=SourceImageCollection.Method.FULL
    )
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"set": whole.pk, "project": project.pk})

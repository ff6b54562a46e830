"""What imports have in common, whatever they read: a file, its format, options, and a plan."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from ami.exchange.importing.compared import rows_there
from ami.exchange.importing.files import LocalFile, digest
from ami.exchange.models import Import
from ami.exchange.plan import ImportPlan
from ami.exchange.reading.registry import format_named
from ami.jobs.engine.heart import beating
from ami.jobs.engine.work import PlannedWork, reading
from ami.jobs.models import Job
from ami.jobs.states import JobFailedError

JOB_TYPE = "import"
FILE = "File"
THERE = "there"  # of the plan: the rows that it was compared with
CHANGED = (
    "has changed since the import began. Import it again: what was written is found, and compared."
)


class FileWork(PlannedWork):
    """Writes what a file contains, in order, so that it is one part.

    A subclass adds what became of the rows to `_plan`, which is stored with each batch.
    """

    key = JOB_TYPE
    name = "Import"
    part_batches = None
    takes_long = True  # A dry run is one batch, however large the file is.
    skips_faults = False
    schema: ClassVar[type[BaseModel]]  # of the options

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        with reading(job.params, of="import"):
            self.form = format_named(job.params["format"])
            self.options: Any = self.schema.parse_obj(job.params["options"])
            self.project_name = str(job.params["project"])
        self._plan = ImportPlan()
        self._local: LocalFile | None = None

    def consult(self) -> dict[str, Any]:
        """The file itself, by its digest, and what its names stand for."""
        return {FILE: self._digest(), **self.consult_names()}

    def consult_names(self) -> dict[str, Any]:
        """What the names of the file stand for at present; empty before the file was read."""
        return {}

    def decisions(self) -> list[str]:
        told = [f"Format: {self.form.name}."]
        for name, field in self.options.__fields__.items():
            value = getattr(self.options, name)
            if value not in (None, field.default):
                shown = {True: "yes", False: "no"}.get(value, value)
                told.append(f"{field.field_info.title}: {shown}.")
        return told

    def keep(self) -> None:
        row = Import.objects.select_for_update().get(job=self.job)
        plan = ImportPlan.from_json(row.plan)
        plan.merge(self._plan)
        row.plan = {**row.plan, **plan.as_json(), **self._notes()}
        row.save(update_fields=["plan", "updated_at"])
        self._plan = ImportPlan()

    def _notes(self) -> dict[str, Any]:
        """What is stored with the plan."""
        return {}

    def _beating(self) -> AbstractContextManager[None]:
        """A heartbeat, because one reading of a large file takes longer than a batch may."""
        return beating(self.job.held) if self.job.held else nullcontext()

    def _failed(self, reason: object) -> JobFailedError:
        """The failure that tells `reason`, in which an upload has its own name."""
        return JobFailedError(self._local.told(reason) if self._local else str(reason))

    def _path(self) -> Path:
        """Return the path of the file on this machine. Raises JobFailedError if it is gone."""
        if self._local is None:
            row = Import.objects.filter(job=self.job).first()
            if row is None:
                raise JobFailedError("The record of the file was deleted, so it is not imported.")
            self._local = LocalFile(row)
        return self._local.path

    def _same_path(self) -> Path:
        """Return the path. Raises JobFailedError if the file is not the one that was planned."""
        if self._digest() != self.basis[FILE]:
            raise self._failed(f"{self._path()} {CHANGED}")
        return self._path()

    def _digest(self) -> str:
        try:
            return digest(self._path())
        except JobFailedError as unreadable:
            raise self._failed(unreadable) from None

    def _note_rows(self) -> None:
        """Note how many rows there are, so that who applies a dry run learns what was deleted."""
        if self.job.dry_run:
            rows = Import.objects.filter(job=self.job, uploaded=True)
            if rows.exists():
                rows.update(plan={THERE: rows_there(self.job)})

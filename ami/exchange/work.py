"""Exports as Jobs: one call that reads one view of the database, and starts anew if it is lost."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.text import slugify

from ami.base.audit import Kind
from ami.base.ids import stored_id
from ami.base.words import counted
from ami.exchange.export.registry import FORMATS, ExportError, ExportOptions, Format, parse_options
from ami.exchange.export.run import Written, write_file
from ami.exchange.export.scope import Scope
from ami.exchange.models import Export, Import, expiry
from ami.exchange.uploads import delete_forgotten
from ami.jobs.engine.registry import JOB_TYPES, RUNS_AGAIN
from ami.jobs.engine.work import WholeWork, reading
from ami.jobs.models import Job
from ami.jobs.service import create_jobs
from ami.jobs.states import JobFailedError
from ami.main.models import Event, SourceImageCollection
from ami.users.models import User

JOB_TYPE = "export"
EXPORT = "exchange.add_export"
# The rows to which an export may be limited, by the parameter with their id.
LIMITS: dict[str, type[Any]] = {"collection": SourceImageCollection, "event": Event}
FOLDER = "exports"
PROGRESS_SECONDS = 1.0


def queue_exports(
    form: Format,
    options: ExportOptions,
    scopes: Sequence[tuple[str, Scope]],
    *,
    user: User | None = None,
    launch_key: str | None = None,
) -> list[Job]:
    """Queue one Job for each named scope, all or none.

    Raises ExportError if the format cannot be written here, or if no scope is given, and
    AlreadyLaunchedError if `launch_key` has been used.
    """
    form.require()
    if not scopes:
        raise ExportError("Nothing is selected.")
    jobs = [
        Job(
            name=f"Export of {name} as {form.name}"[:255],
            project_id=scope.project_id,
            user=user,
            job_type_key=JOB_TYPE,
            params={
                "format": form.key,
                "options": options.dict(),
                "collection": scope.collection_id,
                "event": scope.event_id,
                "occurrences": None if scope.occurrence_ids is None else len(scope.occurrence_ids),
            },
            launch_key=f"{launch_key}/{number}" if launch_key else None,
        )
        for number, (name, scope) in enumerate(scopes)
    ]
    with transaction.atomic():
        created = create_jobs(jobs, kind=Kind.EXPORT)
        Export.objects.bulk_create(
            [
                Export(
                    project_id=scope.project_id,
                    job=job,
                    form=form.key,
                    occurrence_ids=_listed(scope.occurrence_ids),
                    path=_path(form, job),
                )
                for job, (_, scope) in zip(created, scopes, strict=True)
            ]
        )
    return created


def scope_of(job: Job) -> tuple[str, Scope]:
    """Return name and scope of the export of `job`. Raises JobFailedError if they are gone."""
    if job.project is None:
        raise JobFailedError(f"Job {job.pk} has no project, from which rows could be exported.")
    if job.parameters.get("occurrences") is not None:
        export = Export.objects.filter(job=job).first()
        if export is None or export.occurrence_ids is None:
            raise JobFailedError(
                f"The selection of Job {job.pk} was deleted with its file. Select the occurrences "
                "again."
            )
        ids = frozenset(export.occurrence_ids)
        name = f"{counted(len(ids), 'occurrence')} of {job.project}"
        return name, Scope(job.project.pk, occurrence_ids=ids)
    for key, model in LIMITS.items():
        if (pk := job.parameters.get(key)) is not None:
            noun, rows = model._meta.verbose_name, model.objects.filter(project=job.project)
            if (row := rows.filter(pk=stored_id(pk)).first()) is None:
                raise JobFailedError(f"The {noun} {pk} no longer exists.")
            return f"{noun} {row}", Scope(job.project.pk, **{f"{key}_id": row.pk})
    return f"project {job.project}", Scope(job.project.pk)


def _run_again(former: Job, user: User | None) -> Job:
    if user and not user.has_perm(EXPORT, former):
        raise JobFailedError(f"{user} may not export rows of {str(former.project)!r}.")
    work, scope = ExportWork(former), scope_of(former)
    try:
        (job,) = queue_exports(work.form, work.options, [scope], user=user)
    except ExportError as refused:
        raise JobFailedError(str(refused)) from None
    return job


class ExportWork(WholeWork):
    """Writes the file of a Job, and stores it."""

    key = JOB_TYPE
    name = "Export"
    counters = ("rows_read",)

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self._told_at = 0.0
        with reading(job.params, of="export"):
            self.form = FORMATS[job.params["format"]]
            self.options = parse_options(job.params["options"])
        self.export = Export.objects.filter(job=job).first()

    def decisions(self) -> list[str]:
        told = [f"Format: {self.form.name}."]
        if self.options.media_url:
            told.append(f"Media URL: {self.options.media_url}.")
        return told

    def nothing_to_do(self) -> str | None:
        scope = self._scope()
        if scope.occurrences.exists() or scope.captures.exists():
            return None
        return "The scope has no captures and no occurrences."

    def run(self) -> None:
        export, scope = self._found(), self._scope()
        with TemporaryDirectory(prefix="export-") as folder:
            try:
                written = write_file(
                    self.form,
                    scope,
                    self.options,
                    Path(folder) / f"export{self.form.suffix}",
                    on_progress=self._advance,
                )
            except ExportError as refused:
                raise JobFailedError(str(refused)) from None
            self._store(export, written)
        for sentence in written.problems:
            self.job.logger.warning("%s", sentence)

    def _found(self) -> Export:
        if self.export is None:
            raise JobFailedError("The record of the file was deleted, so it is not written.")
        return self.export

    def _scope(self) -> Scope:
        ids = self._found().occurrence_ids
        return Scope(
            self._found().project_id,
            collection_id=self.job.params.get("collection"),
            event_id=self.job.params.get("event"),
            occurrence_ids=None if ids is None else frozenset(ids),
        )

    def _advance(self, done: int, total: int) -> None:
        """Show how far it is, at most once per second. Raises JobCanceledError."""
        now = monotonic()
        if now - self._told_at < PROGRESS_SECONDS and done < total:
            return
        self._told_at = now
        self.job.raise_if_canceled()
        share = done / total if total else 1.0
        self.job.progress.update_stage(self.key, progress=share, rows_read=done)
        self.job.checkpoint()

    def _store(self, export: Export, written: Written) -> None:
        export.delete_files()  # of a worker that was lost
        stored = [(written.path, export.path)]
        if written.problems_path:
            stored.append((written.problems_path, export.problems_path))
        for source, path in stored:
            with source.open("rb") as file:
                saved = default_storage.save(path, File(file))
            if saved != path:
                raise JobFailedError(f"The storage keeps the file under another name: {saved}.")
        export.size = written.path.stat().st_size
        export.problems = written.problems
        export.expires_at = expiry()
        export.save()


def delete_expired() -> int:
    """Delete the exports and the uploads that have expired; return how many files.

    An export is deleted with its row. The row of an import, and so its plan, is kept.
    """
    delete_forgotten()
    return _delete_exports() + _delete_uploads()


def _delete_uploads() -> int:
    uploads = Import.objects.filter(uploaded=True).exclude(path="")
    kept = Q(expires_at__gte=timezone.now()) | Q(job__finished_at__isnull=True)
    # A dry run and the Job that applies it share a file.
    expired = uploads.exclude(path__in=uploads.filter(kept).values("path"))
    paths = set(expired.values_list("path", flat=True))
    for path in paths:
        default_storage.delete(path)
        Import.objects.filter(path=path, uploaded=True).update(path="")
    return len(paths)


def _delete_exports() -> int:
    expired = Export.objects.filter(expires_at__lt=timezone.now(), job__finished_at__isnull=False)
    number = 0
    for export in expired.iterator():
        export.delete()
        number += 1
    return number


def _path(form: Format, job: Job) -> str:
    """A path that cannot be guessed, with a name that tells what the file is."""
    name = slugify(str(job.project))[:50].strip("-") or "project"
    day = f"{timezone.now():%Y-%m-%d}"
    return f"{FOLDER}/{secrets.token_urlsafe(24)}/{name}-{form.key}-{day}{form.suffix}"


def _listed(ids: Any) -> list[int] | None:
    return None if ids is None else sorted(ids)


JOB_TYPES.register(JOB_TYPE, ExportWork)
RUNS_AGAIN.register(JOB_TYPE, _run_again)

"""Start imports: in this process, or in a worker."""

from collections.abc import Iterator
from pathlib import Path

from django.db import transaction

from ami.base.audit import Kind, record
from ami.exchange.importing.compared import changes_since
from ami.exchange.importing.file_work import JOB_TYPE, THERE, FileWork
from ami.exchange.importing.names import NameListWork
from ami.exchange.importing.options import ImportOptions, NameListOptions
from ami.exchange.importing.rights import list_of, may_run
from ami.exchange.importing.work import ImportWork
from ami.exchange.models import Import
from ami.exchange.plan import ImportPlan
from ami.exchange.reading.registry import Format
from ami.jobs import applying
from ami.jobs.engine import basis
from ami.jobs.engine.here import run_now
from ami.jobs.engine.registry import JOB_TYPES, RUNS_AGAIN, WorkFactory
from ami.jobs.models import Job
from ami.jobs.service import (
    AlreadyLaunchedError,
    ApplyRefusedError,
    ScopeChangedError,
    create_jobs,
    record_start,
)
from ami.jobs.states import JobFailedError
from ami.main.models import Project
from ami.users.models import User


def work_of(job: Job) -> FileWork:
    """Return the work of a Job that imports a file. Raises JobFailedError, UnknownKeyError."""
    return ImportWork(job) if list_of(job) is None else NameListWork(job)


def new_import(
    form: Format,
    options: ImportOptions | NameListOptions,
    *,
    name: str,
    project: Project | None,
    project_name: str = "",
    user: User | None = None,
    dry_run: bool = False,
    applies: Job | None = None,
    launch_key: str | None = None,
) -> Job:
    """An unsaved Job that imports the file `name`.

    Without a `project`, the one with the name `project_name` is used, or created by the run. A name
    list needs none.
    """
    return Job(
        name=f"Import of {name}"[: Job._meta.get_field("name").max_length],
        project=project,
        user=user,
        job_type_key=JOB_TYPE,
        params={
            "format": form.key,
            "project": project.name if project else project_name,
            "options": options.dict(),
        },
        dry_run=dry_run,
        applies=applies,
        launch_key=launch_key,
    )


def import_here(job: Job, path: Path, make: WorkFactory = work_of) -> ImportPlan:
    """Run an unsaved Job of :func:`new_import` in this process; `job` is refreshed at the end.

    Returns what became of the rows, all of them if the Job has succeeded. `make` makes the work, so
    that a caller can follow it.
    """
    with transaction.atomic():
        job.save()
        Import.objects.create(
            project=job.project,
            job=job,
            form=job.params["format"],
            path=str(path.resolve()),
            name=path.name[:255],
        )
        record_start([job], kind=Kind.IMPORT)
    run_now(job, make)
    return ImportPlan.from_json(Import.objects.get(job=job).plan)


def queue_import(job: Job, path: str, *, name: str, reason: str = "") -> Job:
    """Queue an unsaved Job that imports an upload, which is at `path` of the default storage.

    Raises AlreadyLaunchedError if the launch key of the Job has been used.
    """
    with transaction.atomic():
        (queued,) = create_jobs([job], kind=Kind.IMPORT, reason=reason)
        Import.objects.create(
            project=queued.project,
            job=queued,
            form=queued.params["format"],
            path=path,
            name=name[:255],
            uploaded=True,
        )
    return queued


def again(
    former: Job,
    user: User | None,
    *,
    dry_run: bool,
    options: ImportOptions | NameListOptions | None = None,
    applies: Job | None = None,
    launch_key: str | None = None,
    reason: str = "",
) -> Job:
    """Queue a new Job with the file of `former`, and with its options unless others are given.

    Raises JobFailedError if the file is not stored, and AlreadyLaunchedError if `launch_key` was
    used before.
    """
    row = stored_file(former)
    work = work_of(former)
    job = new_import(
        work.form,
        options or work.options,
        name=row.name,
        project=former.project,
        user=user,
        dry_run=dry_run,
        applies=applies,
        launch_key=launch_key,
    )
    return queue_import(job, row.path, name=row.name, reason=reason)


def stored_file(job: Job) -> Import:
    """Return the record of the upload that `job` imports. Raises JobFailedError if it is gone."""
    row = Import.objects.filter(job=job).defer("plan").first()
    if row is None:
        raise JobFailedError(f"The record of the file of Job {job.pk} was deleted.")
    if not row.uploaded:
        command = "import_occurrences" if list_of(job) is None else "import_taxa"
        raise JobFailedError(
            f"The file {row.name} was not uploaded. Import it with the command {command}."
        )
    if not row.is_available:
        raise JobFailedError(f"The file {row.name} has expired and was deleted. Upload it again.")
    return row


def can_apply(job: Job) -> bool:
    """Whether `job` is a dry run to apply, or a reverted import to apply again."""
    if applying.refusal(job) or applying.standing(job):
        return False
    row = Import.objects.filter(job=job).first()
    return row is not None and row.is_available and ImportPlan.from_json(row.plan).writes > 0


def apply(job: Job, *, user: User | None, confirmed: bool = False) -> Job:
    """Queue a new Job that imports what the dry run `job` has read.

    Raises ApplyRefusedError; AlreadyLaunchedError if `job` was applied and that stands; and, unless
    `confirmed`, ScopeChangedError if rows that the file was compared with have changed since.
    """
    key = applying.launch_key(job)
    if reason := applying.refusal(job):
        raise ApplyRefusedError(reason)
    if standing := applying.standing(job):
        raise AlreadyLaunchedError([standing.pk])
    if user and not may_run(user, job):
        raise ApplyRefusedError(refused(job, user))
    try:
        stored_file(job)
        if not confirmed and (changes := list(_changes(job))):
            raise ScopeChangedError(changes)
        new = again(job, user, dry_run=False, applies=job, launch_key=key)
    except JobFailedError as gone:
        raise ApplyRefusedError(str(gone)) from None
    record([job], kind=Kind.APPLY, user=user, message=f"Applied by Job {new.pk}.")
    return new


def refused(job: Job, user: User) -> str:
    """The sentence that tells a person that they may not start the import of `job`."""
    list_name = list_of(job)
    if list_name is None:
        return f"{user} may not import into {str(job.project)!r}."
    return f"{user} may not import names into the taxa list {list_name!r}."


def _changes(job: Job) -> Iterator[str]:
    """What is no longer as a dry run found it, one sentence per change. Raises JobFailedError."""
    if not job.dry_run:
        return
    plan = Import.objects.values_list("plan", flat=True).get(job=job)
    yield from changes_since(job, plan.get(THERE, {}))
    work = work_of(job)
    basis.take_up(job, work)
    names = work.consult_names()
    yield from basis.differences({name: work.basis[name] for name in names}, names)


def _run_again(former: Job, user: User | None) -> Job:
    if user and not may_run(user, former):
        raise JobFailedError(refused(former, user))
    return again(former, user, dry_run=former.dry_run)


JOB_TYPES.register(JOB_TYPE, work_of)
RUNS_AGAIN.register(JOB_TYPE, _run_again)

"""What the page of a Job says about an import: its file, its options, and its plan."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any, cast

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from ami.base.links import EMPTY, change_link
from ami.base.sections import Section
from ami.exchange.admin.formats import reader_name
from ami.exchange.admin.import_forms import BOXES
from ami.exchange.admin.imports import NAMES
from ami.exchange.admin.upload import AGAIN
from ami.exchange.coverage import Coverage
from ami.exchange.importing.file_work import JOB_TYPE
from ami.exchange.importing.options import ImportOptions, NameListOptions
from ami.exchange.importing.rights import list_of, may_run
from ami.exchange.importing.service import apply, can_apply, refused, stored_file
from ami.exchange.models import Import
from ami.exchange.plan import TITLES, Entry, ImportPlan, Outcome
from ami.exchange.taxa import OF_LIST
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.admin.pages import LIVE_SECTIONS
from ami.jobs.applying import standing
from ami.jobs.models import Job
from ami.jobs.service import RunAgainRefusedError
from ami.jobs.states import JobFailedError, JobState
from ami.main.models import Project
from ami.users.models import User

SHOWN = 100
APPLY = "“Apply this dry run” imports the file as shown here."
OTHERS_APPLY = "A manager of the project who may import can apply this dry run."
HEADINGS = TITLES | {Outcome.DIFFERS: "Different in the file, and left as it is"}


class ImportOffers(JobOffers):
    """Apply a dry run; read the file again with other options."""

    name = "Import"

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        return {
            job.pk: change_link(Project, job.project_id, job.project)
            if job.project_id
            else list_of(job) or str(job.parameters.get("project", ""))
            for job in jobs
        }

    def may_revert(self, job: Job, user: Any) -> bool:
        """What all projects share is put back by those who may change it."""
        return list_of(job) is None or may_run(user, job)

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        told: list[tuple[str, Any]] = []
        if row := Import.objects.filter(job=job).defer("plan").first():
            told.append(("File", format_html("<bdi>{}</bdi>", row.name)))
        told.append(("Format", reader_name(str(job.parameters.get("format", "")))))
        if job.project_id or list_of(job) is None:
            told.append(("Project", self.scopes([job], user)[job.pk]))
        return [*told, *_options(job)]

    def results(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        row = Import.objects.filter(job=job).defer("plan").first()
        if row is None or not row.uploaded:
            return []
        kept = row.expires_at if row.is_available else "It has expired and was deleted."
        return [("File kept until" if row.is_available else "File", kept)]

    def options_page(
        self, request: HttpRequest, jobs: Sequence[Job], *, site: AdminSite
    ) -> HttpResponse:
        """The page that adds an import, with the file and the options of the Job."""
        if len(jobs) > 1:
            raise RunAgainRefusedError("Run imports again one at a time.")
        try:
            stored_file(jobs[0])
        except JobFailedError as gone:
            raise RunAgainRefusedError(str(gone)) from None
        if not may_run(request.user, jobs[0]):
            raise RunAgainRefusedError(refused(jobs[0], cast(User, request.user)))
        url = reverse(f"{site.name}:exchange_import_add")
        return HttpResponseRedirect(f"{url}?{AGAIN}={jobs[0].pk}")

    def may_run_again(self, job: Job, user: Any) -> bool:
        return may_run(user, job)

    def can_apply(self, job: Job, user: Any) -> bool:
        return may_run(user, job) and can_apply(job)

    def apply(self, job: Job, *, user: User | None, confirmed: bool) -> Job:
        return apply(job, user=user, confirmed=confirmed)


def _options(job: Job) -> Iterator[tuple[str, Any]]:
    """The options that differ from the default."""
    options = job.parameters.get("options")
    schema = ImportOptions if list_of(job) is None else NameListOptions
    for name, value in options.items() if isinstance(options, dict) else ():
        if value in (None, "", False) or name not in schema.__fields__:
            continue
        told = BOXES.get(value, value) if name == "boxes" else value
        yield schema.__fields__[name].field_info.title, "Yes" if told is True else told


def _plan(request: HttpRequest, job: Job) -> dict[str, Any]:
    """The plan of an import that has ended, as far as it came; empty for other Jobs."""
    if job.job_type_key != JOB_TYPE or not job.is_final:
        return {}
    row = Import.objects.filter(job=job).first()
    if row is None:
        return {}
    plan = ImportPlan.from_json(row.plan)
    may = may_run(request.user, job)
    notes = [*_notes(job, row, plan, may_import=may), *filter(None, [plan.lacks_boxes])]
    rows = plan.table()
    return {
        "is_shown": bool(notes or rows),
        "job": job,
        "notes": notes,
        "columns": NAMES.values(),
        "rows": [(model._meta.verbose_name_plural, numbers) for model, numbers in rows],
        "lists": list(_lists(plan)),
        "coverage": [str(Coverage(**one)) for one in row.plan.get("coverage", ())],
    }


def _lists(plan: ImportPlan) -> Iterator[dict[str, Any]]:
    for outcome, title in HEADINGS.items():
        entries = plan.listed(outcome)
        shown = [_placed(entry) for entry in entries[:SHOWN]]
        if shown:
            whole = outcome in (Outcome.CREATED, Outcome.UNCHANGED)  # most have no entry
            number = len(entries) if whole else plan.total(outcome)
            yield {"title": title, "entries": shown, "more": number - len(shown)}


def _placed(entry: Entry) -> Entry:
    """The taxa list is an option of the command, and none of the file."""
    return entry._replace(place=EMPTY) if entry.place == OF_LIST else entry


def _notes(job: Job, row: Import, plan: ImportPlan, *, may_import: bool) -> Iterator[str]:
    """What a person should know before the next step, which only those take who may import."""
    ended_well = job.status == JobState.SUCCESS
    if ended_well and not plan.writes:
        yield _nothing_to_write(job, plan)
    elif job.dry_run and standing(job):
        yield "Nothing was written by this dry run. It has been applied, see above."
    elif ended_well and job.dry_run and row.is_available:
        yield f"Nothing has been written yet. {APPLY if may_import else OTHERS_APPLY}"
    elif ended_well and job.dry_run and row.uploaded:
        yield "Nothing has been written. The file has expired: upload it again to import it."
    elif ended_well and job.dry_run:
        yield f"Nothing has been written. To import the file, run: {_command(job, row)}"
    elif not ended_well and not job.dry_run and plan.writes:
        yield "The run did not end: this is what it wrote until then."
    if not may_import:
        return
    if job.status == JobState.FAILURE and job.dry_run and row.is_available:
        yield "There is no plan. “Run again…” opens the options of the import."
    if plan.total(Outcome.DIFFERS) and row.is_available:
        yield "“Run again…” with “Update” shows the plan in which the different values are changed."


def _nothing_to_write(job: Job, plan: ImportPlan) -> str:
    if plan.total(Outcome.DIFFERS, Outcome.CONTRADICTION, Outcome.SKIPPED):
        return "There is nothing new to write; see the rows below."
    where = "project" if list_of(job) is None else "taxa list"
    return f"The {where} already contains everything that the file says."


def _command(job: Job, row: Import) -> str:
    """The command that imports the file, as it was run for the dry run."""
    options = job.parameters.get("options")
    given = options if isinstance(options, dict) else {}
    if (list_name := list_of(job)) is None:
        words = ["import_occurrences", row.name, "--project", str(job.parameters["project"])]
    else:
        words = ["import_taxa", row.name, "--list", list_name]
    for name in ("deployment", "boxes", "media", "encoding"):
        if value := given.get(name):
            words += [f"--{name}", str(value)]
    if given.get("update"):
        words.append("--update")
    if (atomic := given.get("atomic")) is not None:
        words.append("--atomic" if atomic else "--no-atomic")
    return shlex.join(["manage.py", *words])


OFFERS.register(JOB_TYPE, ImportOffers())
LIVE_SECTIONS.append(Section("admin/exchange/plan.html", _plan))

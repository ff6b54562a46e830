"""The page that adds an import: an upload, whose format is recognised at once, and a dry run."""

from typing import Any, cast
from uuid import uuid4

from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html

from ami.base.admin import LargeTableAdmin, page_context
from ami.base.audit import reason_of
from ami.base.ids import parse_id
from ami.base.links import change_link, change_url
from ami.exchange.admin.import_forms import NameListForm, OccurrencesForm, UploadForm, refuse_list
from ami.exchange.importing.rights import list_of, may_import, may_import_names, may_run
from ami.exchange.importing.service import again, new_import, queue_import, stored_file
from ami.exchange.models import Import
from ami.exchange.reading.registry import NAME_LIST, READERS
from ami.exchange.uploads import store
from ami.jobs.admin.pages import LAUNCH_KEY, launch_key_of
from ami.jobs.models import Job
from ami.jobs.service import AlreadyLaunchedError
from ami.jobs.states import JobFailedError
from ami.users.models import User

AGAIN = "again"
FIELDSETS = {
    "File": ("file", "project"),
    "Options": ("update",),
    "Options for occurrences": ("deployment", "boxes"),
    "Options for name lists": ("list_name", "encoding"),
}


class UploadMixin(LargeTableAdmin[Import]):
    """Adds imports: a new file, or with `?again=` the file of a Job with other options."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        may = may_import(request.user) or may_import_names(request.user)
        return super().has_add_permission(request) and may

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A GET request shows the form; a POST request queues a dry run."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if former := _former(request):
            return self._again(request, former)
        posted = (request.POST, request.FILES) if request.method == "POST" else ()
        form = UploadForm(*posted, request=request)
        if posted and form.is_valid():
            return self._queue(request, form)
        return self._page(request, form)

    def _queue(self, request: HttpRequest, form: UploadForm) -> HttpResponse:
        """Store the file and queue its dry run, unless this form was submitted before."""
        key = launch_key_of(request)
        if key and (launched := Job.objects.filter(launch_key=key).first()):
            return self._lead_to(request, launched, is_new=False)
        file, project = form.cleaned_data["file"], form.cleaned_data["project"]
        assert form.form
        job = new_import(
            form.form,
            form.options(),
            name=file.name,
            project=project,
            user=cast(User, request.user),
            dry_run=True,
            launch_key=key,
        )
        path = store(file)
        try:
            queued = queue_import(job, path, name=file.name, reason=reason_of(request))
        except AlreadyLaunchedError as former:
            default_storage.delete(path)
            return self._lead_to(request, Job(pk=former.job_ids[0]), is_new=False)
        except BaseException:
            default_storage.delete(path)
            raise
        return self._lead_to(request, queued)

    def _again(self, request: HttpRequest, former: Job) -> HttpResponse:
        """Read the file of a Job again, with the options of the form."""
        try:
            row = stored_file(former)
        except JobFailedError as gone:
            self.message_user(request, str(gone), messages.WARNING)
            return HttpResponseRedirect(change_url(Job, former.pk))
        if not may_run(request.user, former):
            raise PermissionDenied
        stored = former.parameters.get("options")
        initial = stored if isinstance(stored, dict) else {}
        kind = OccurrencesForm if list_of(former) is None else NameListForm
        form = kind(request.POST if request.method == "POST" else None, initial=initial)
        if request.method == "POST" and form.is_valid() and isinstance(form, NameListForm):
            refuse_list(form, request.user, former.project)
        if request.method != "POST" or not form.is_valid():
            return self._page(request, form, former=former, row=row)
        try:
            job = again(
                former,
                cast(User, request.user),
                dry_run=True,
                options=form.options(),
                launch_key=launch_key_of(request),
                reason=reason_of(request),
            )
        except AlreadyLaunchedError as launched:
            return self._lead_to(request, Job(pk=launched.job_ids[0]), is_new=False)
        return self._lead_to(request, job)

    def _lead_to(self, request: HttpRequest, job: Job, *, is_new: bool = True) -> HttpResponse:
        link = change_link(Job, job.pk)
        if is_new:
            text = "{} reads the file and writes nothing. Its plan shows what the import would do."
            self.message_user(request, format_html(text, link), messages.SUCCESS)
        else:
            text = "This form was submitted before, and has started {}; no other was started."
            self.message_user(request, format_html(text, link), messages.WARNING)
        return HttpResponseRedirect(change_url(Job, job.pk))

    def _page(
        self,
        request: HttpRequest,
        form: OccurrencesForm | NameListForm,
        *,
        former: Job | None = None,
        row: Import | None = None,
    ) -> HttpResponse:
        fieldsets = [
            (title, {"fields": fields})
            for title, names in FIELDSETS.items()
            if (fields := [name for name in names if name in form.fields])
        ]
        title = f"Import {row.name} again" if row else "Import a file"
        context = {
            **page_context(self, request, title=title),
            "adminform": AdminForm(form, fieldsets, {}),  # type: ignore[arg-type]
            "readers": [*READERS.values(), NAME_LIST],
            "former": former,
            "row": row,
            "key_name": LAUNCH_KEY,
            "key": launch_key_of(request) or uuid4(),
        }
        return TemplateResponse(request, "admin/exchange/upload.html", context)


def _former(request: HttpRequest) -> Job | None:
    """The Job whose file is read again; None if the address names none that the person sees."""
    pk = parse_id(request.GET.get(AGAIN, ""))
    return Job.objects.for_user(request.user).filter(pk=pk).first() if pk else None

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, IntegerField, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from kombu.exceptions import OperationalError as BrokerError

from ami.base.admin import own_paths, page_context
from ami.base.ids import parse_id
from ami.base.links import EMPTY, change_link
from ami.base.next_steps import NextStep
from ami.base.words import counted
from ami.integrity.admin.repair import RepairMixin, repair_url
from ami.integrity.admin.results import result_rows
from ami.integrity.finding import Scope
from ami.integrity.models import CHECK, IntegrityResult, IntegrityRun, IntegrityStatus
from ami.integrity.schedule import UnknownScopeError, schedule_daily, schedules, scope_of
from ami.integrity.tasks import data_integrity_check
from ami.jobs.models import Job, Pulse
from ami.main.admin.filters import AutocompleteFilter, AutocompleteFilterMixin
from ami.main.checks.declarations import Severity
from ami.main.models import Project

CUT_OFF_AFTER = timedelta(hours=1)
REASON_SHOWN = 200


def _over_results(expression: Any, *where: Q) -> Coalesce:
    """Aggregate over the results of the outer run."""
    results = IntegrityResult.objects.filter(*where, run=OuterRef("pk")).order_by().values("run")
    figure = results.annotate(figure=expression).values("figure")
    return Coalesce(Subquery(figure, output_field=IntegerField()), 0)


@admin.register(IntegrityRun)
class IntegrityRunAdmin(AutocompleteFilterMixin, RepairMixin):
    """The history of the integrity checks. Runs are started here and never edited."""

    change_list_template = "admin/integrity/integrityrun/change_list.html"
    annotations = {
        "errors": _over_results(Sum("remaining"), Q(severity=Severity.ERROR)),
        "warnings": _over_results(Sum("remaining"), Q(severity=Severity.WARNING)),
        "repaired": _over_results(Sum("fixed")),
        "unknown": _over_results(Sum(F("remaining") - F("acknowledged"))),
        "broken": _over_results(Count("pk"), ~Q(error="")),
    }
    next_step = NextStep(
        "The checks run daily once they are scheduled, and with manage.py check_data_integrity."
    )
    list_display = ("started", "kind", "scope", "state", "rows", "user", "took")
    list_filter = (("project", AutocompleteFilter),)
    list_select_related = ("project", "user", "repair_job")

    class Media:
        css = {"all": ["integrity/integrity.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: IntegrityRun | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        views = {
            "check/": self.check_view,
            "repair/": self.repair_view,
            "schedule/": self.schedule_view,
        }
        return [*own_paths(self, views), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shows_schedules = request.user.has_perm("django_celery_beat.view_periodictask")
        planned = schedules() if shows_schedules else []
        context = {
            "schedules": planned,
            "shows_schedules": shows_schedules,
            "may_schedule": shows_schedules and not planned and _may_schedule(request),
            "tick": Pulse.objects.filter(name=Pulse.Name.TICK).first(),
            **self._permissions(request),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show what each check of the run has found."""
        run = self._run(request, object_id)
        if request.method == "POST":
            raise PermissionDenied
        rows = result_rows(run)
        keys = [row.result.key for row in rows if row.repair]
        context = {
            **page_context(self, request, title=f"{self.kind(run)} of {self.started(run)}"),
            **self._permissions(request),
            "run": run,
            "state": self.state(run),
            "scope": self.scope(run),
            "took": self.took(run),
            "job_link": change_link(Job, run.repair_job_id),
            "rows": rows,
            "repair_url": repair_url(keys, project=run.project_id, job=run.job_id)
            if keys
            else None,
        }
        return render(request, "admin/integrity/integrityrun/page.html", context)

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """A POST request queues a check of all rows, or of a scope."""
        if not self._may_check(request):
            raise PermissionDenied
        if request.method == "POST":
            self._queue_check(request)
        return self._to_list()

    def schedule_view(self, request: HttpRequest) -> HttpResponse:
        """A POST request schedules a daily check."""
        if not _may_schedule(request):
            raise PermissionDenied
        if request.method == "POST":
            if schedule_daily():
                self.message_user(request, "The checks now run every day at 04:15 UTC.")
            else:
                text = "The checks are already scheduled; nothing was changed."
                self.message_user(request, text, messages.WARNING)
        return self._to_list()

    @admin.display(description="started", ordering="id")
    def started(self, run: IntegrityRun) -> str:
        return f"{timezone.localtime(run.created_at):%Y-%m-%d %H:%M}"

    @admin.display(description="type")
    def kind(self, run: IntegrityRun) -> str:
        return "Check" if run.dry_run else "Repair"

    @admin.display(description="scope")
    def scope(self, run: IntegrityRun) -> SafeString | str:
        if run.error:
            return EMPTY
        scope = [
            *([change_link(Project, run.project_id, run.project)] if run.project else []),
            *([change_link(Job, run.job_id)] if run.job_id else []),
        ]
        return format_html(", ".join(["{}"] * len(scope)), *scope) if scope else "Everything"

    @admin.display(description="outcome")
    def state(self, run: Any) -> SafeString:
        badge = format_html('<span class="integrity integrity-{}">{}</span>', *_state(run))
        if not run.error:
            return badge
        why = Truncator(run.error).chars(REASON_SHOWN)
        return format_html('{}<div class="integrity-why">{}</div>', badge, why)

    @admin.display(description="faulty rows")
    def rows(self, run: Any) -> str:
        """The remaining rows by severity, and the number of repaired rows."""
        told = [
            counted(count, noun)
            for noun, count in (("error", run.errors), ("warning", run.warnings))
            if count
        ]
        if not run.dry_run:
            told.append(f"{run.repaired:,} repaired")
        return ", ".join(told) or EMPTY

    @admin.display(description="duration")
    def took(self, run: IntegrityRun) -> str:
        if run.finished_at is None or run.error:
            return EMPTY
        return f"{(run.finished_at - run.created_at).total_seconds():,.1f} s"

    def _run(self, request: HttpRequest, object_id: str) -> Any:
        """Raises Http404 and PermissionDenied."""
        runs = self.get_queryset(request).select_related("project", "user", "repair_job")
        return self.row_of_page(request, object_id, runs)

    def _permissions(self, request: HttpRequest) -> dict[str, bool]:
        return {
            "may_check": self._may_check(request),
            "may_repair": self._may_repair(request),
            "may_acknowledge": request.user.has_perm("integrity.add_integrityacknowledgement"),
        }

    def _may_check(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CHECK)

    def _queue_check(self, request: HttpRequest) -> None:
        try:
            for scope in _asked_scopes(request):
                data_integrity_check.delay(scope.project_id, scope.job_id, user_id=request.user.pk)
        except UnknownScopeError as odd:
            self.message_user(request, str(odd), messages.ERROR)
        except BrokerError as error:
            text = f"The broker did not take the check: {str(error).rstrip('.')}. Try again."
            self.message_user(request, text, messages.ERROR)
        else:
            text = "A check was queued. It appears in this list once a worker has begun it."
            self.message_user(request, text)

    def _to_list(self) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:integrity_integrityrun_changelist"))


def _asked_for(request: HttpRequest, name: str) -> int | None:
    """Raises UnknownScopeError."""
    text = request.POST.get(name, "")
    pk = parse_id(text)
    if text and pk is None:
        raise UnknownScopeError(f"{text[:50]!r} is not the id of a {name}.")
    return pk


def _asked_scopes(request: HttpRequest) -> list[Scope]:
    """Return the scope of the form; if it is empty, all rows, or each project of a member.

    Raises UnknownScopeError.
    """
    project, job = _asked_for(request, "project"), _asked_for(request, "job")
    projects = Project.objects.for_user(request.user, CHECK)
    jobs = Job.objects.for_user(request.user, CHECK)
    if project and not projects.filter(pk=project).exists():
        raise UnknownScopeError(f"There is no project {project}.")
    if job and not jobs.filter(pk=job).exists():
        raise UnknownScopeError(f"There is no Job {job}.")
    if project or job or request.user.is_superuser:
        scope_of(project, job)
        of_job = jobs.filter(pk=job).values_list("project_id", flat=True).first() if job else None
        return [Scope(project or of_job, job)]
    return [Scope(pk) for pk in projects.order_by("pk").values_list("pk", flat=True)]


def _may_schedule(request: HttpRequest) -> bool:
    return request.user.has_perm("django_celery_beat.add_periodictask")


def _state(run: Any) -> tuple[str, str]:
    """Return the style and the label of a run's state, from its annotations."""
    if run.error:
        return IntegrityStatus.COULD_NOT_RUN.value, "Could not run"
    if run.finished_at is None:
        job, age = run.repair_job, timezone.now() - run.created_at
        if job.is_final if job else age > CUT_OFF_AFTER:
            return IntegrityStatus.COULD_NOT_RUN.value, "Interrupted"
        return "running", "Running"
    if run.broken:
        status, label = IntegrityStatus.COULD_NOT_RUN, f"{run.broken} could not run"
    elif run.unknown:
        status, label = IntegrityStatus.FOUND, "Found"
    elif run.errors or run.warnings:
        status, label = IntegrityStatus.ACKNOWLEDGED, "Acknowledged"
    else:
        status, label = IntegrityStatus.CLEAN, "Clean"
    return status.value, label

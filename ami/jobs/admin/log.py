"""A Job's log, one page at a time."""

from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ami.base.ids import parse_id
from ami.jobs.admin.pages import JobPagesMixin
from ami.jobs.models import Job, JobLog
from ami.jobs.models.log import SEVERE

PAGE = 200
LEVELS = {
    "": ("All lines", JobLog.Level.values),
    "WARNING": ("Warnings and errors", SEVERE),
    "ERROR": ("Errors", SEVERE[1:]),
}


class LogPage(NamedTuple):
    """Lines of a log, the oldest first, and whether there are older and newer ones."""

    lines: list[JobLog]
    older: bool
    newer: bool


def log_page(
    job: Job, *, level: str = "", before: int | None = None, after: int | None = None
) -> LogPage:
    """The lines next to the given id, or the last ones, in three queries."""
    rows = job.logs.all()
    if level:
        rows = rows.filter(level__in=LEVELS[level][1])
    if after is not None:
        lines = list(rows.filter(pk__gt=after).order_by("pk")[:PAGE])
    else:
        upto = rows if before is None else rows.filter(pk__lt=before)
        lines = list(upto.order_by("-pk")[:PAGE])[::-1]
    if not lines:
        return LogPage([], older=False, newer=False)
    return LogPage(
        lines,
        older=rows.filter(pk__lt=lines[0].pk).exists(),
        newer=rows.filter(pk__gt=lines[-1].pk).exists(),
    )


class LogMixin(JobPagesMixin):
    """The page of a Job's log."""

    def log_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show one page. `level` is the lowest level shown; `before` and `after` are line ids."""
        job = self._job(request, object_id)
        level = request.GET.get("level", "")
        level = level if level in LEVELS else ""
        ids = {name: parse_id(request.GET.get(name, "")) for name in ("before", "after")}
        page = log_page(job, level=level, **ids)
        context = {
            **self._frame(request, job, title=f"Log of Job {job.pk}"),
            "page": page,
            "first": page.lines[0].pk if page.lines else None,
            "last": page.lines[-1].pk if page.lines else None,
            "level": level,
            "levels": [(value, label) for value, (label, _) in LEVELS.items()],
        }
        return render(request, "admin/jobs/job/log.html", context)

"""What the page of a project shows of its last integrity run."""

from typing import Any

from django.http import HttpRequest

from ami.base.links import change_url
from ami.base.sections import Section
from ami.integrity.models import IntegrityRun, IntegrityStatus
from ami.main.admin.overview import SECTIONS
from ami.main.checks.declarations import CHECKS
from ami.main.models import Project

FOUND = {IntegrityStatus.FOUND, IntegrityStatus.COULD_NOT_RUN}


def last_findings(request: HttpRequest, project: Project) -> dict[str, Any]:
    """Return the last run of the checks on the project, and what it found, in two queries."""
    runs = IntegrityRun.objects.filter(project=project).exclude(finished_at=None)
    run = runs.order_by("-pk").first()
    if run is None:
        return {"run": None}
    results = list(run.results.order_by("severity", "key"))
    return {
        "run": run,
        "url": change_url(IntegrityRun, run.pk) if request.user.is_staff else "",
        "checks": len(results),
        "found": [
            {
                "title": CHECKS[one.key].title if one.key in CHECKS else one.key,
                "rows": one.remaining,
                "severity": one.severity,
                "error": one.error,
            }
            for one in results
            if one.status in FOUND
        ],
    }


SECTIONS.append(Section("admin/integrity/overview.html", last_findings))

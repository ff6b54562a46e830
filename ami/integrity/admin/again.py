"""Run a repair again, on the page of repairs."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ami.base.links import change_link
from ami.integrity.admin.repair import repair_url
from ami.integrity.service import JOB_TYPE
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.models import Job
from ami.jobs.service import RunAgainRefusedError
from ami.main.checks.declarations import CHECKS


class RepairOffers(JobOffers):
    name = "Repair"

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        """The Job whose rows are repaired; repairs of a project or of all rows name none."""
        return {job.pk: change_link(Job, pk) for job in jobs if (pk := job.params.get("job"))}

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        told = {name: value for name, value in job.params.items() if value is not None}
        keys = told.pop("checks", None) or []
        titles = [CHECKS[key].title if key in CHECKS else key for key in keys]
        return [
            ("Checks", ", ".join(titles) or "All"),
            *((name.capitalize(), value) for name, value in told.items()),
        ]

    def options_page(
        self, request: HttpRequest, jobs: Sequence[Job], *, site: AdminSite
    ) -> HttpResponse:
        """Redirect to the page of repairs, filled in with the checks and the scope of the Job."""
        if len(jobs) > 1:
            raise RunAgainRefusedError("Repairs are run again one at a time: select one Job.")
        (job,) = jobs
        url = repair_url(
            job.params.get("checks") or [], project=job.project_id, job=job.params.get("job")
        )
        return HttpResponseRedirect(url)


OFFERS.register(JOB_TYPE, RepairOffers())

"""Run a repair again, on the page of repairs."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ami.base.ids import stored_id
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
        return {job.pk: change_link(Job, pk) for job in jobs if (pk := _repaired(job))}

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        told = {name: value for name, value in job.parameters.items() if value is not None}
        told.pop("checks", None)
        titles = [CHECKS[key].title if key in CHECKS else key for key in _keys(job)]
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
        url = repair_url(_keys(job), project=job.project_id, job=_repaired(job))
        return HttpResponseRedirect(url)


def _keys(job: Job) -> list[str]:
    """The keys of the checks that the Job repairs; none stands for all of them."""
    keys = job.parameters.get("checks")
    return list(map(str, keys)) if isinstance(keys, list) else []


def _repaired(job: Job) -> int | None:
    """The id of the Job whose rows are repaired."""
    return stored_id(job.parameters.get("job"))


OFFERS.register(JOB_TYPE, RepairOffers())

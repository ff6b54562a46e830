"""Run a repair again, on the page of repairs."""

from collections.abc import Sequence

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from ami.integrity.admin.repair import repair_url
from ami.integrity.service import JOB_TYPE
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.models import Job
from ami.jobs.service import RunAgainRefusedError


class RepairOffers(JobOffers):
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

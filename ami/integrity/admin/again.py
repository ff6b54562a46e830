"""Run a repair again, on the page of repairs."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

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
        options = {
            "check": jobs[0].params.get("checks"),
            "project": jobs[0].project_id,
            "job": jobs[0].params.get("job"),
        }
        query = urlencode({name: value for name, value in options.items() if value}, doseq=True)
        url = reverse(f"{site.name}:integrity_integrityrun_repair")
        return HttpResponseRedirect(f"{url}?{query}")


OFFERS.register(JOB_TYPE, RepairOffers())

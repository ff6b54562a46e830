"""What the page of a Job says about a shift of a clock."""

from collections.abc import Sequence
from typing import Any

from ami.base.access import visible_rows_of
from ami.base.links import change_link
from ami.exchange.clock import JOB_TYPE
from ami.jobs.admin.offers import OFFERS, JobOffers
from ami.jobs.models import Job
from ami.main.models import Deployment


class ShiftOffers(JobOffers):
    """The deployment and the shift."""

    name = "Shift of a clock"

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        asked = {job.pk: _params(job).get("deployment") for job in jobs}
        rows = visible_rows_of(Deployment, user).in_bulk(
            [pk for pk in asked.values() if isinstance(pk, int)]
        )
        return {
            job: change_link(Deployment, pk, rows[pk]) if pk in rows else f"deployment {pk}"
            for job, pk in asked.items()
        }

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        return [
            ("Deployment", self.scopes([job], user)[job.pk]),
            ("Shifted by", _params(job).get("by", "")),
        ]


def _params(job: Job) -> dict[str, Any]:
    return job.params if isinstance(job.params, dict) else {}


OFFERS.register(JOB_TYPE, ShiftOffers())

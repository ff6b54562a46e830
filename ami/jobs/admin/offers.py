"""What the admin offers for the Jobs of one type. Higher layers register it under the job type."""

from collections.abc import Sequence

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse

from ami.base.registry import Registry
from ami.jobs.models import Job
from ami.jobs.service import ApplyRefusedError, RunAgainRefusedError
from ami.users.models import User


class JobOffers:
    """The offers for a job type. A type without an entry has no options page and no apply."""

    def options_page(
        self, request: HttpRequest, jobs: Sequence[Job], *, site: AdminSite
    ) -> HttpResponse:
        """The page on which a user runs ended Jobs again, filled in with their options.

        Raises PermissionDenied, and RunAgainRefusedError if there is no single page for them.
        """
        raise RunAgainRefusedError(f"Job {jobs[0].pk} has no page of options.")

    def can_apply(self, job: Job) -> bool:
        """Whether `job` is a dry run, or a run that was reverted, which a new Job can apply."""
        return False

    def apply(self, job: Job, *, user: User | None, confirmed: bool) -> Job:
        """Queue a new Job that applies `job`.

        Raises ApplyRefusedError; AlreadyLaunchedError if a Job applies it; and, unless `confirmed`,
        ScopeChangedError.
        """
        raise ApplyRefusedError(
            f"Job {job.pk} has the type {job.job_type_key!r}, which cannot be applied."
        )


OFFERS: Registry[JobOffers] = Registry("job type with offers")


def offers_for(job: Job) -> JobOffers:
    return OFFERS.get(job.job_type_key) or JobOffers()

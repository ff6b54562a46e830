"""What the admin offers for the Jobs of one type, and how it describes them.

Higher layers register it under the job type.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from ami.base.registry import Registry
from ami.jobs.models import Job
from ami.jobs.service import ApplyRefusedError, RunAgainRefusedError
from ami.users.models import User


class JobOffers:
    """The offers for a job type. A type without an entry has no options page and no apply.

    `name` says what Jobs of this type do, unless they use one of several methods.
    """

    name = ""

    def method(self, job: Job) -> str:
        """What the Job does, such as "Class masking"."""
        return self.name or job.name

    def methods(self, job_type: str) -> dict[str, tuple[str, Q]]:
        """What Jobs of this type do, as choices of a filter: labels and conditions by key."""
        name = self.name or job_type.replace("_", " ").capitalize()
        return {job_type: (name, Q(job_type_key=job_type))}

    def kinds_of_scope(self) -> dict[str, tuple[str, Q]]:
        """What Jobs of this type work on, as choices of a filter."""
        return {}

    def scopes(self, jobs: Sequence[Job], user: Any) -> dict[int, str]:
        """Links to the rows that each Job works on, in a fixed number of queries.

        Rows that `user` may not see are not named.
        """
        return {}

    def parameters(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        """Labels and values; malformed parameters are ignored."""
        return list(job.parameters.items())

    def results(self, job: Job, user: Any) -> list[tuple[str, Any]]:
        """What a Job that has ended has made besides rows, as labels and values."""
        return []

    def may_revert(self, job: Job, user: Any) -> bool:
        """Whether a person who may launch Jobs in the project may revert this one."""
        return True

    def options_page(
        self, request: HttpRequest, jobs: Sequence[Job], *, site: AdminSite
    ) -> HttpResponse:
        """The page on which a user runs ended Jobs again, filled in with their options.

        Raises PermissionDenied, and RunAgainRefusedError if there is no single page for them.
        """
        raise RunAgainRefusedError(f"Job {jobs[0].pk} has no page of options.")

    def may_run_again(self, job: Job, user: Any) -> bool:
        """Whether `user`, who may launch Jobs, may run this one again."""
        return True

    def can_apply(self, job: Job, user: Any) -> bool:
        """Whether `job` is a dry run, or a run that was reverted, which a new Job can apply.

        False if `user`, who may launch Jobs, may not apply this one.
        """
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


def scopes_of(jobs: Iterable[Job], user: Any) -> dict[int, str]:
    """Links to the rows that each Job works on, by the Job's id."""

    def by_type(job: Job) -> str:
        return job.job_type_key

    found: dict[int, str] = {}
    for _, group in groupby(sorted(jobs, key=by_type), by_type):
        same = list(group)
        found |= offers_for(same[0]).scopes(same, user)
    return found

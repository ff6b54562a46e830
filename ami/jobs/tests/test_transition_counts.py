"""The counts of transitions that the list of changes offers as a filter."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ami.jobs.journal import transitions
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job, JobState
from ami.jobs.tests.admin import CHANGES
from ami.jobs.tests.job_types import make_job
from ami.jobs.tests.test_journal_pages import make_run
from ami.main.models import Occurrence, Taxon

pytestmark = pytest.mark.django_db


def counting(queries: CaptureQueriesContext) -> int:
    """How often the page counted the transitions."""
    shown = [query["sql"] for query in queries if "WITH pair AS" in query["sql"]]
    return sum("FROM jobs_jobchange" in sql for sql in shown)


class TestCountsOfALargeJob:
    """The sidebar offers the transitions, which are counted once when the Job has ended."""

    @pytest.fixture(autouse=True)
    def job(self, monkeypatch: pytest.MonkeyPatch) -> Job:
        monkeypatch.setattr(transitions, "LARGE", 0)
        monkeypatch.setattr(transitions, "_kept", {})
        job = make_run()
        Job.objects.filter(pk=job.pk).update(finished_at=timezone.now())
        return job

    def offered(self, admin_client: Client, job: Job) -> tuple[bool, int]:
        with CaptureQueriesContext(connection) as queries:
            page = admin_client.get(CHANGES, {"job__id__exact": job.pk}).text
        return "Noctua pronuba\u2069 (3)" in page, counting(queries)

    def test_are_kept_with_the_present_names_until_the_journal_is_deleted(
        self, admin_client: Client, job: Job
    ) -> None:
        assert self.offered(admin_client, job) == (True, 1)
        assert self.offered(admin_client, job) == (True, 0)
        Taxon.objects.filter(name="Noctua pronuba").update(name="Noctua renamed")
        assert self.offered(admin_client, job) == (False, 0)
        Job.objects.filter(pk=job.pk).update(pruned_at=timezone.now())
        assert self.offered(admin_client, job) == (False, 1)

    def test_of_a_running_job_are_not_kept(self, admin_client: Client, job: Job) -> None:
        Job.objects.update(finished_at=None)
        assert [self.offered(admin_client, job) for _ in range(2)] == [(True, 1)] * 2

    def test_of_a_few_jobs_are_kept(
        self, admin_client: Client, job: Job, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transitions, "KEPT_JOBS", 1)
        other = make_job(status=JobState.SUCCESS, finished_at=timezone.now())
        with journaled(other):
            Occurrence.objects.update(determination=None)
        assert self.offered(admin_client, job) == (True, 1)
        assert self.offered(admin_client, other) == (False, 1)
        assert self.offered(admin_client, job) == (True, 1)

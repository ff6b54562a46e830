"""The log of a Job, on its page and page by page."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from ami.jobs.models import Job, JobLog
from ami.jobs.tests.admin import page_of
from ami.jobs.tests.job_types import make_job

pytestmark = pytest.mark.django_db


def make_log(lines: int, *, level: str = "INFO", job: Job | None = None) -> Job:
    job = job or make_job()
    JobLog.objects.bulk_create(
        JobLog(job=job, level=level, message=f"line {number}.") for number in range(lines)
    )
    return job


def messages_of(response: Any) -> list[str]:
    return [line.message for line in response.context["page"].lines]


def follow(admin_client: Client, response: Any, *, rel: str) -> Any:
    """The page to which the link leads."""
    start = response.text.rindex('<a href="', 0, response.text.index(f'" rel="{rel}"'))
    url = response.text[start:].split('"')[1].replace("&amp;", "&")
    return admin_client.get(response.wsgi_request.path + url)


def test_page_shows_the_last_lines_and_leads_to_all(admin_client: Client) -> None:
    job = make_log(50)
    page = admin_client.get(page_of(job)).text
    assert "line 19." not in page
    assert "line 20." in page
    assert "line 49." in page
    assert f'href="{page_of(job, "log/")}"' in page


def test_log_is_paged_back_and_forth(admin_client: Client) -> None:
    job = make_log(450)
    make_log(3)
    newest = admin_client.get(page_of(job, "log/"))
    assert messages_of(newest) == [f"line {n}." for n in range(250, 450)]
    middle = follow(admin_client, newest, rel="prev")
    assert messages_of(middle) == [f"line {n}." for n in range(50, 250)]
    oldest = follow(admin_client, middle, rel="prev")
    assert messages_of(oldest) == [f"line {n}." for n in range(50)]
    assert 'rel="prev"' not in oldest.text
    assert messages_of(follow(admin_client, oldest, rel="next")) == messages_of(middle)
    assert 'rel="next"' not in newest.text
    assert messages_of(admin_client.get(page_of(job, "log/?after=0")))[0] == "line 0."


def test_log_is_cut_by_level(admin_client: Client) -> None:
    job = make_log(30)
    for level in ("WARNING", "ERROR", "CRITICAL"):
        JobLog.objects.create(job=job, level=level, message=level)
    for level, lines in [
        ("WARNING", ["WARNING", "ERROR", "CRITICAL"]),
        ("ERROR", ["ERROR", "CRITICAL"]),
    ]:
        assert messages_of(admin_client.get(page_of(job, f"log/?level={level}"))) == lines


def test_pages_keep_the_level(admin_client: Client) -> None:
    job = make_log(250, level="WARNING")
    make_log(10, job=job)
    newest = admin_client.get(page_of(job, "log/?level=WARNING"))
    assert messages_of(newest)[-1] == "line 249."
    assert len(messages_of(follow(admin_client, newest, rel="prev"))) == 50


@pytest.mark.parametrize(
    "query", ["level=LOUD", "before=x", "after=-1", f"before={2**70}", "before=0", f"after={2**62}"]
)
def test_odd_address_is_answered(admin_client: Client, query: str) -> None:
    assert admin_client.get(page_of(make_log(2), f"log/?{query}")).status_code == 200


def test_log_without_lines_says_so(admin_client: Client) -> None:
    assert "No log lines." in admin_client.get(page_of(make_job(), "log/")).text


def test_log_page_takes_the_same_queries_for_any_number_of_lines(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    job = make_log(2_000)
    with django_assert_max_num_queries(6):
        assert len(messages_of(admin_client.get(page_of(job, "log/")))) == 200


def test_errors_of_a_long_log_are_found_by_an_index() -> None:
    job = make_log(5_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_joblog")
    plan = job.logs.filter(level__in=("ERROR", "CRITICAL")).order_by("-pk")[:200].explain()
    assert "joblog_severe" in plan

import logging
from contextlib import suppress
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from ami.base.storable import storable
from ami.jobs.models import Job, JobLog
from ami.jobs.tests.job_types import make_job

pytestmark = pytest.mark.django_db


def lines(job: Job) -> list[tuple[str, str]]:
    return list(job.logs.order_by("pk").values_list("level", "message"))


def test_lines_become_rows_in_order() -> None:
    job = make_job()
    job.logger.info("one")
    job.logger.warning("%d and %s", 2, "three")
    assert lines(job) == [("INFO", "one"), ("WARNING", "2 and three")]


def test_debug_lines_go_to_the_server_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    job = make_job()
    with caplog.at_level(logging.DEBUG, logger="ami.jobs"):
        job.logger.debug("one")
    assert (lines(job), caplog.messages) == ([], ["one"])


def test_setting_lets_debug_lines_in(settings: Any) -> None:
    settings.JOB_LOG_LEVEL = "DEBUG"
    job = make_job()
    job.logger.debug("one")
    assert lines(job) == [("DEBUG", "one")]


@pytest.mark.django_db(transaction=True)
def test_many_lines_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.jobs.logging.BULK_SECONDS", 1_000)
    job = make_job()
    with CaptureQueriesContext(connection) as queries, job.logger.rows.in_bulk():
        for number in range(3_500):
            job.logger.info("line %d", number)
    inserts = [query for query in queries if query["sql"].startswith("INSERT")]
    assert len(inserts) <= 5
    assert lines(job) == [("INFO", f"line {number}") for number in range(3_500)]


@pytest.mark.django_db(transaction=True)
def test_lines_in_bulk_survive_the_rollback_of_a_transaction_around_them() -> None:
    job = make_job()
    with job.logger.rows.in_bulk():
        with suppress(RuntimeError), transaction.atomic():
            for number in range(1_500):
                job.logger.info("line %d", number)
            raise RuntimeError
        assert not JobLog.objects.exists()
    assert job.logs.count() == 1_500


@pytest.mark.parametrize("where", ["storable_text", "JobLog.objects.bulk_create"])
def test_time_limit_is_not_swallowed_and_loses_no_line(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()

    def strike(*args: object, **kwargs: object) -> None:
        raise SoftTimeLimitExceeded

    with monkeypatch.context() as patch:
        patch.setattr(f"ami.jobs.logging.{where}", strike)
        with pytest.raises(SoftTimeLimitExceeded):
            job.logger.info("one")
    job.logger.info("two")
    messages = [message for _, message in lines(job)]
    assert messages == (["two"] if where == "storable_text" else ["one", "two"])


class SlowText:
    def __str__(self) -> str:
        raise SoftTimeLimitExceeded


def test_time_limit_that_strikes_as_a_value_is_made_storable_is_not_swallowed() -> None:
    for value in (SlowText(), [SlowText()], {SlowText(): 1}):
        with pytest.raises(SoftTimeLimitExceeded):
            storable(value)


def test_lines_go_on_to_the_server_log(caplog: pytest.LogCaptureFixture) -> None:
    job = make_job()
    with caplog.at_level(logging.INFO, logger="ami.jobs"):
        job.logger.info("Seen")
    assert [record.name for record in caplog.records] == [f"ami.jobs.{job.pk}"]


def test_exception_brings_its_traceback() -> None:
    job = make_job()
    try:
        raise ValueError("odd\x00value")
    except ValueError:
        job.logger.exception("It broke.")
    ((level, message),) = lines(job)
    assert level == "ERROR"
    assert message.startswith("It broke.\nTraceback (most recent call last):")
    assert message.endswith("ValueError: oddvalue")


@pytest.mark.parametrize(
    ("message", "stored"), [("a\x00b", "ab"), ("a\ud800b", "a?b"), ("é 蛾", "é 蛾"), ("", "")]
)
def test_any_text_can_be_logged(message: str, stored: str) -> None:
    job = make_job()
    job.logger.info(message)
    assert lines(job) == [("INFO", stored)]


def test_long_level_name_is_cut_and_breaks_no_transaction() -> None:
    job = make_job()
    with transaction.atomic():
        job.logger.log(1234, "Odd level")
    assert lines(job) == [("Level 12", "Odd level")]


def test_wrong_arguments_raise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    job = make_job()
    job.logger.info("%d rows", "many")
    job.logger.info("next")
    assert lines(job) == [("INFO", "next")]


def test_a_table_that_cannot_be_written_raises_nothing() -> None:
    job = make_job()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobs_joblog RENAME TO elsewhere")
        job.logger.info("lost")
        with job.logger.rows.held():
            job.logger.info("lost, too")
        cursor.execute("ALTER TABLE elsewhere RENAME TO jobs_joblog")
    job.logger.info("kept")
    assert lines(job) == [("INFO", "kept")]


def test_held_lines_survive_a_rollback() -> None:
    job = make_job()
    with suppress(RuntimeError), job.logger.rows.held(), transaction.atomic():
        job.logger.info("inside")
        raise RuntimeError
    assert lines(job) == [("INFO", "inside")]


def test_held_lines_wait_until_the_end() -> None:
    job = make_job()
    with job.logger.rows.held():
        for number in range(50):
            job.logger.info("line %d", number)
        assert not JobLog.objects.exists()
    assert job.logs.count() == 50


@pytest.mark.django_db(transaction=True)
def test_logger_of_a_deleted_job_raises_nothing() -> None:
    job = make_job()
    Job.objects.filter(pk=job.pk).delete()
    job.logger.info("to nobody")
    assert not JobLog.objects.exists()

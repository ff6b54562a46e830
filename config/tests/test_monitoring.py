"""What the environment turns on: metrics, logs as JSON, and reports to Sentry."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from ami.integrity.models import IntegrityResult, IntegrityRun
from ami.jobs.states import JobState, Outcome, PartState
from ami.jobs.tests.job_types import make_job
from ami.jobs.tests.queues import purge
from ami.jobs.tests.rows import make_part, queued_job
from ami.jobs.watch import broker, vitals
from config.tests.processes import bare_environment
from config.tests.test_settings import REQUIRED

TOKEN = "a-long-token"
WAIT_SECONDS = 60


@pytest.fixture
def scraper(settings: Any) -> Client:
    settings.METRICS_TOKEN = TOKEN
    return Client(headers={"Authorization": f"Bearer {TOKEN}"})


def metrics(client: Client) -> dict[tuple[str, ...], float]:
    """The values by the name, and the values of the labels in the order of the labels' names."""
    response = client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


@pytest.mark.django_db
def test_metrics_tell_of_jobs_queues_and_checks(scraper: Client) -> None:
    queued_job()
    make_job(status=JobState.SUCCESS, outcome=Outcome.NOTHING)
    for found in (7, 5):  # the latest counts
        run = IntegrityRun.objects.create()
        IntegrityResult.objects.create(
            run=run, key="loop", severity="error", remaining=found, acknowledged=1
        )
    told = metrics(scraper)
    assert told["ami_jobs", "", "pending"] == 1
    assert told["ami_jobs", "nothing", "success"] == 1
    assert told["ami_oldest_queued_job_seconds",] > 0
    assert told["ami_rows_per_second",] == 0
    assert told["ami_broker_up",] == 1
    assert told["ami_queue_messages", "post_processing"] >= 0
    assert told["ami_workers", "ami"] >= 0
    assert told["ami_check_findings", "loop", "error"] == 4


@pytest.mark.django_db
def test_metrics_take_few_queries(scraper: Client) -> None:
    for status in JobState:
        make_job(status=status)
    with CaptureQueriesContext(connection) as context:
        metrics(scraper)
    assert len(context) <= 15


@pytest.mark.django_db
def test_metrics_tell_that_the_broker_is_down(
    scraper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vitals, "workers", lambda: None)
    told = metrics(scraper)
    assert told["ami_broker_up",] == 0
    assert not [name for name in told if name[0] == "ami_queue_messages"]


@pytest.mark.django_db
@pytest.mark.usefixtures("scraper")
@pytest.mark.parametrize(
    "given", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer é"}]
)
def test_metrics_need_the_token(client: Client, given: dict[str, str]) -> None:
    refused = client.get("/metrics", headers=given)
    assert refused.status_code == 401
    assert "ami_jobs" not in refused.text


@pytest.mark.django_db
def test_metrics_are_off_by_default(client: Client) -> None:
    assert settings.METRICS_TOKEN == ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.django_db
def test_messages_are_counted_by_queue(scraper: Client) -> None:
    purge()
    for part in (make_part(make_job(), PartState.QUEUED) for _ in range(3)):
        part.publish()
    assert metrics(scraper)["ami_queue_messages", "post_processing"] == broker.depth() == 3
    purge()


def in_production(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    named = {"DJANGO_SETTINGS_MODULE": "config.settings.production"} | environment
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.ROOT,
        env=bare_environment() | REQUIRED | named,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )


FAIL = """
import logging, django
django.setup()
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("ami.jobs").exception("Job %d failed:\\n%s", 5, "twice")
"""
WORKER = """
import logging, django
django.setup()
from config.celery_app import app
app.log.setup(loglevel="INFO")
logging.getLogger("celery.worker").info("ready")
"""


def test_logs_are_lines_of_json() -> None:
    (line,) = in_production(FAIL, LOG_FORMAT="json").stdout.splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"]) == ("ERROR", "ami.jobs")
    assert told["message"] == "Job 5 failed:\ntwice"
    assert told["traceback"].endswith("ZeroDivisionError: division by zero")


def test_logs_of_workers_are_lines_of_json() -> None:
    done = in_production(WORKER, LOG_FORMAT="json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["message"] for line in told] == ["ready"], done.stderr


def test_logs_are_text_by_default() -> None:
    assert "ERROR ami.jobs: Job 5 failed:" in in_production(FAIL).stdout


def test_unknown_log_format_is_refused() -> None:
    told = in_production(FAIL, LOG_FORMAT="xml").stderr
    assert "LOG_FORMAT must be text or json, got 'xml'." in told


@pytest.fixture
def sentry() -> Iterator[tuple[str, Queue[str]]]:
    """The DSN of a server that takes reports, and the reports."""
    reports: Queue[str] = Queue()

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            reports.put((gzip.decompress(body) if is_packed else body).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://key@127.0.0.1:{server.server_port}/1", reports
        server.shutdown()


def test_errors_are_reported_to_sentry(sentry: tuple[str, Queue[str]]) -> None:
    dsn, reports = sentry
    done = in_production(FAIL, SENTRY_DSN=dsn, SENTRY_ENVIRONMENT="staging")
    report = reports.get(timeout=WAIT_SECONDS)
    assert "ZeroDivisionError" in report, done.stderr
    assert '"environment":"staging"' in report


def test_sentry_is_not_loaded_without_a_dsn() -> None:
    code = "import django, sys; django.setup(); print('sentry_sdk' in sys.modules)"
    assert in_production(code).stdout == "False\n"

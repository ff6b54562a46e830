"""The settings of each environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings
from django.test import Client
from kombu.exceptions import OperationalError

from config.settings.urls import broker_url, database
from config.tests.processes import bare_environment

REQUIRED = {
    "SECRET_KEY": "only-this-test-has-it-" + "4f9a!kz7" * 6,
    "ALLOWED_HOSTS": "ami.example.org, www.example.org",
    "DATABASE_URL": "postgres://ami@db/ami",
    "REDIS_URL": "redis://queue:6379/2",
}


def _production(
    *arguments: str, without: tuple[str, ...] = (), **extra: str
) -> subprocess.CompletedProcess[str]:
    named = {name: value for name, value in REQUIRED.items() if name not in without}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments, "--settings=config.settings.production"],
        cwd=settings.ROOT,
        env=bare_environment() | named | extra,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("missing", [(name,) for name in REQUIRED] + [tuple(REQUIRED)])
def test_production_refuses_to_start_without(missing: tuple[str, ...]) -> None:
    done = _production("migrate", without=missing)
    assert done.returncode == 1
    assert done.stderr == (
        f"Production settings need {', '.join(missing)}: set it in the environment.\n"
    )


def test_production_passes_the_deployment_checks() -> None:
    done = _production("check", "--deploy", "--fail-level=WARNING")
    assert done.returncode == 0, done.stderr


def test_local_settings_pass_the_checks() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--fail-level=WARNING"],
        cwd=settings.ROOT,
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [["manage.py", "migrate"], ["-m", "celery", "--app=config", "worker"]], ids=" ".join
)
def test_unfit_celery_settings_are_refused(command: list[str], tmp_path: Path) -> None:
    unfit = "from config.settings.test import *\nCELERY_TASK_ACKS_LATE = False\n"
    (tmp_path / "unfit.py").write_text(unfit)
    named = {"DJANGO_SETTINGS_MODULE": "unfit", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=settings.ROOT,
        env=os.environ | named,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "(ami.E011) CELERY_TASK_ACKS_LATE must be True, got False" in done.stderr


def test_production_reads_the_rest_from_the_environment() -> None:
    show = (
        "from django.conf import settings as s;"
        "print(s.ALLOWED_HOSTS, s.CSRF_TRUSTED_ORIGINS, s.SECURE_SSL_REDIRECT, s.CELERY_BROKER_URL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", show],
        cwd=settings.ROOT,
        env=bare_environment()
        | REQUIRED
        | {
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "CSRF_TRUSTED_ORIGINS": "https://ami.example.org",
            "SECURE_SSL_REDIRECT": "false",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (
        "['ami.example.org', 'www.example.org'] ['https://ami.example.org'] False "
        "redis://queue:6379/2\n"
    )


@pytest.mark.parametrize(
    ("redis_url", "expected"),
    [
        ("redis://queue:6379/2", "redis://queue:6379/2"),
        ("rediss://user:secret@queue/0", "rediss://user:secret@queue/0"),
        ("unix:///srv/redis.sock", "redis+socket:///srv/redis.sock?virtual_host=0"),
        ("unix:///srv/redis.sock?db=3", "redis+socket:///srv/redis.sock?virtual_host=3"),
    ],
)
def test_celery_reads_the_same_redis_url(redis_url: str, expected: str) -> None:
    assert broker_url(redis_url) == expected


def test_publishing_gives_up_soon_where_no_broker_runs() -> None:
    nowhere = current_app.connection_for_write("redis://127.0.0.1:1/0")
    with nowhere, pytest.raises(OperationalError):
        current_app.send_task("nothing", connection=nowhere)


def test_root_leads_to_the_admin(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"


def test_database_that_says_nothing_is_not_waited_for() -> None:
    assert database("postgres://ami@db/ami")["OPTIONS"] == {"connect_timeout": 3}
    patient = database("postgres://ami@db/ami?connect_timeout=60", conn_max_age=60)
    assert (patient["OPTIONS"]["connect_timeout"], patient["CONN_MAX_AGE"]) == (60, 60)


def test_production_loads_no_embedded_servers() -> None:
    code = (
        "import sys, config.wsgi, config.celery_app, manage; "
        "sys.exit('config.devservers' in sys.modules)"
    )
    named = {"DJANGO_SETTINGS_MODULE": "config.settings.production"}
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.ROOT,
        env=bare_environment() | REQUIRED | named,
        check=True,
    )

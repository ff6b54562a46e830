"""The checks of the Celery settings accept the shipped ones, and report each wrong one."""

from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from ami.jobs.engine import parts

BROKER: dict[str, Any] = settings.CELERY_BROKER_TRANSPORT_OPTIONS
BROKEN = [
    ("E001", {"task_soft_time_limit": 2 * parts.PART_SECONDS - 1}),
    ("E002", {"task_soft_time_limit": settings.CELERY_TASK_TIME_LIMIT}),
    ("E002", {"task_soft_time_limit": None}),
    ("E003", {"task_time_limit": settings.CELERY_VISIBILITY_TIMEOUT}),
    ("E003", {"task_time_limit": None}),
    ("E004", {"worker_soft_shutdown_timeout": 0}),
    ("E004", {"worker_soft_shutdown_timeout": settings.CELERY_TASK_SOFT_TIME_LIMIT}),
    ("E005", {"visibility_timeout": settings.CELERY_VISIBILITY_TIMEOUT + 1}),
    ("E005", {"broker_transport_options": {**BROKER, "visibility_timeout": 1}}),
    ("E005", {"result_backend_transport_options": {}}),
    ("E011", {"task_acks_late": False}),
    ("E012", {"task_reject_on_worker_lost": None}),
    ("E013", {"task_acks_on_timeout": None}),
    ("E014", {"worker_prefetch_multiplier": 4}),
    ("E015", {"worker_cancel_long_running_tasks_on_connection_loss": False}),
    ("E016", {"task_track_started": False}),
    ("E021", {"task_routes": {"ami.jobs.tasks.run_[jp]*": "post_processing"}}),
    ("E022", {"task_queues": {"ami": {}}}),
    ("E022", {"task_queues": {"post_processing": {}}}),
    ("E031", {"broker_transport_options": {**BROKER, "socket_keepalive": False}}),
    ("E032", {"broker_transport_options": {**BROKER, "socket_timeout": None}}),
    ("E033", {"broker_transport_options": {**BROKER, "socket_connect_timeout": None}}),
    ("E034", {"broker_transport_options": {**BROKER, "health_check_interval": 0}}),
]


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Celery:
    """An application with the shipped settings, which a test may break."""
    app = Celery("checked", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    monkeypatch.setattr("ami.jobs.checks.current_app", app)
    return app


@pytest.mark.parametrize(("code", "broken"), BROKEN)
def test_broken_relation_is_named_alone(app: Celery, code: str, broken: dict[str, Any]) -> None:
    app.conf.update(broken)
    (error,) = run_checks(tags=["celery"])
    assert error.id == f"ami.{code}"
    assert any(f"CELERY_{key.upper()}" in f"{error.msg}{error.hint}" for key in broken)


def test_message_says_which_values_and_what_to_do(app: Celery) -> None:
    app.conf.update(task_soft_time_limit=900, task_time_limit=720)
    (error,) = run_checks(tags=["celery"])
    assert str(error) == (
        "?: (ami.E002) CELERY_TASK_SOFT_TIME_LIMIT (900) must be set and below "
        "CELERY_TASK_TIME_LIMIT (720); otherwise a task is killed before it can clean up.\n"
        "\tHINT: Set both, a minute or two apart, in the settings module."
    )


def test_slice_that_leaves_no_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SECONDS", settings.CELERY_TASK_SOFT_TIME_LIMIT)
    with pytest.raises(SystemCheckError, match=r"ami\.E001"):
        call_command("check")


def test_settings_of_the_tests_pass() -> None:
    assert run_checks(tags=["celery"]) == []


@pytest.mark.django_db
@pytest.mark.parametrize(("version", "major"), [(140_013, 14), (190_000, 19)])
def test_untested_version_of_postgresql_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: int, major: int
) -> None:
    assert run_checks(tags=["database"], databases=["default"]) == []
    monkeypatch.setattr(connection, "pg_version", version)
    (error,) = run_checks(tags=["database"], databases=["default"])
    assert str(error) == (
        f"?: (ami.E041) The database runs on PostgreSQL {major}; versions 15 to 18 are "
        "supported.\n\tHINT: Point DATABASE_URL at a supported server, or upgrade this one with "
        "pg_upgrade."
    )

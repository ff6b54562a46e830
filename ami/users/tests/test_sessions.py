"""Sessions end: 12 hours after signing in, and after a time without a request."""

from collections.abc import Iterator
from unittest.mock import Mock, patch

import pytest
from django.test import Client, override_settings

from ami.base.tests.factories import make_user

pytestmark = pytest.mark.django_db
HOUR = 60 * 60


@pytest.fixture
def clock() -> Iterator[Mock]:
    with patch("ami.users.sessions.time", return_value=0) as clock:
        yield clock


@pytest.fixture
def staff(client: Client, clock: Mock) -> Client:
    client.force_login(make_user(is_staff=True))
    return client


def status(client: Client, clock: Mock, hours: float) -> int:
    clock.return_value = int(hours * HOUR)
    return client.get("/admin/").status_code


def test_session_lasts_twelve_hours_however_it_is_used(staff: Client, clock: Mock) -> None:
    for hours in range(12):
        assert status(staff, clock, hours) == 200
        session = staff.session
        session["used"] = hours
        session.save()
    assert status(staff, clock, 12) == 302
    page = staff.get("/admin/login/")
    assert "Your session has reached its limit of 12 hours. Please log in again." in page.text


def test_idle_session_ends(staff: Client, clock: Mock) -> None:
    with override_settings(SESSION_IDLE_SECONDS=HOUR // 2):
        assert status(staff, clock, 0.4) == 200
        assert status(staff, clock, 0.8) == 200
        assert status(staff, clock, 1.4) == 302
    assert "Your session has ended after 30 minutes without a request" in (
        staff.get("/admin/login/").text
    )


def test_without_a_limit_no_session_is_idle(staff: Client, clock: Mock) -> None:
    assert status(staff, clock, 11.9) == 200


def test_session_from_before_the_limits_is_counted_from_now(staff: Client, clock: Mock) -> None:
    session = staff.session
    del session["signed_in_at"]
    session.save()
    assert status(staff, clock, 20) == 200
    assert status(staff, clock, 31.9) == 200
    assert status(staff, clock, 32) == 302


def test_poll_writes_the_session_once_a_minute(staff: Client, clock: Mock) -> None:
    with override_settings(SESSION_IDLE_SECONDS=HOUR):
        for seconds, seen in ((59, 0), (60, 60), (61, 60)):
            clock.return_value = seconds
            staff.get("/admin/")
            assert staff.session["seen_at"] == seen

"""Signing in: locks, rates before a password is hashed, and the address of the client."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from unittest.mock import Mock, patch
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests
from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from redis.exceptions import ConnectionError as RedisConnectionError

from ami.base.tests.factories import make_user
from ami.users.models import User
from ami.users.sign_in import SignInGateMiddleware, client_address

LOGIN = "/admin/login/"
PASSWORD = "a long password of this test"


@pytest.fixture(autouse=True)
def own_redis_keys(db: None) -> Iterator[None]:
    """Give each test counters of its own, in the real Redis."""
    default = settings.CACHES["default"]
    own = default | {"KEY_PREFIX": f"{default['KEY_PREFIX']}{uuid4()}:"}
    with override_settings(CACHES={"default": own}):
        yield


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The clock of the rates, which stands still unless a test moves it."""
    clock = Mock(return_value=1_000_000.0)
    monkeypatch.setattr(SignInGateMiddleware, "full", None)
    monkeypatch.setattr("ami.users.sign_in.time.time", clock)
    return clock


@pytest.fixture
def user() -> User:
    return make_user(email="ada@example.org", password=PASSWORD, is_staff=True)


@pytest.fixture
def hashes() -> Iterator[list[str]]:
    """The passwords that were hashed."""
    done: list[str] = []
    encode = MD5PasswordHasher.encode

    def note(self: Any, password: str, salt: str) -> str:
        done.append(password)
        return encode(self, password, salt)

    with patch.object(MD5PasswordHasher, "encode", note):
        yield done


def sign_in(
    password: str = PASSWORD, email: str = "ada@example.org", address: str = "203.0.113.1"
) -> Any:
    form = {"username": email, "password": password}
    return Client(REMOTE_ADDR=address).post(LOGIN, form)


def test_person_with_the_password_signs_in(user: User) -> None:
    answer = sign_in()
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/"
    assert not AccessAttempt.objects.exists()


def test_nul_in_a_header_is_dropped(user: User, clock: Mock) -> None:
    browser = Client(headers={"User-Agent": "a\x00 browser", "Accept": "\x00*/*"})
    form = {"username": user.email, "password": "wrong"}
    assert browser.post(LOGIN, form).status_code == 200
    failed = AccessAttempt.objects.get()
    assert (failed.user_agent, failed.http_accept) == ("a browser", "*/*")
    clock.return_value += 10
    assert browser.post(LOGIN, form | {"password": PASSWORD}).status_code == 302
    signed_in = AccessLog.objects.get()
    assert (signed_in.user_agent, signed_in.http_accept) == ("a browser", "*/*")


def guess(clock: Mock, count: int) -> list[Any]:
    """Guess slowly, so that only the lock applies."""
    answers = []
    for number in range(count):
        clock.return_value += 10
        answers.append(sign_in(f"guess {number}"))
    clock.return_value += 10
    return answers


def test_five_failures_lock_the_person_at_that_address(
    user: User, clock: Mock, hashes: list[str]
) -> None:
    answers = guess(clock, 5)
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert "5 attempts to log in from your address have failed." in answers[-1].text
    assert "Try again in 15 minutes." in answers[-1].text
    assert answers[-1]["Retry-After"] == "900"

    hashes.clear()
    assert sign_in().status_code == 429
    assert hashes == []
    assert sign_in(address="203.0.113.2").status_code == 302


def test_other_people_behind_the_same_proxy_are_not_locked(user: User, clock: Mock) -> None:
    make_user(email="bea@example.org", password=PASSWORD, is_staff=True)
    guess(clock, 20)
    assert sign_in().status_code == 429
    assert sign_in(email="bea@example.org").status_code == 302


def test_people_known_at_an_address_do_not_wait_for_those_who_guess_there(user: User) -> None:
    AccessLog.objects.create(username="ada@example.org", ip_address="203.0.113.1")
    for number in range(9):
        sign_in("guess", f"{number}@example.org")
    assert sign_in().status_code == 302


def test_lock_ends_after_a_while(user: User, clock: Mock) -> None:
    guess(clock, 5)
    assert sign_in().status_code == 429
    earlier = timezone.now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1)
    AccessAttempt.objects.update(attempt_time=earlier)
    clock.return_value += 10
    assert sign_in().status_code == 302


def test_success_forgets_failures(user: User, clock: Mock) -> None:
    for _ in range(2):
        assert {answer.status_code for answer in guess(clock, 4)} == {200}
        assert sign_in().status_code == 302


def test_address_that_guesses_for_many_people_is_slowed(hashes: list[str]) -> None:
    answers = [sign_in("guess", f"{number}@example.org") for number in range(9)]
    assert [answer.status_code for answer in answers] == [200] + [429] * 8
    assert len(hashes) == 1
    assert "Try again in a few seconds." in answers[-1].text
    assert "has not been checked" in answers[-1].text
    assert "admin/login.html" not in {one.name for one in answers[-1].templates}
    assert answers[-1]["Retry-After"] == "1"


def test_many_addresses_are_slowed_together(hashes: list[str]) -> None:
    answers = [
        sign_in("guess", f"{number}@example.org", f"203.0.113.{number}") for number in range(15)
    ]
    assert [answer.status_code for answer in answers] == [200] * 2 + [429] * 13
    assert len(hashes) == 2


class TestGate:
    """A process that knows of a full period refuses the attempts of strangers at once."""

    @pytest.fixture(autouse=True)
    def full(self, db: None) -> None:
        for number in range(3):
            sign_in("guess", f"{number}@example.org", f"203.0.113.{number}")

    def test_stranger_is_refused_with_one_query_and_without_redis(self) -> None:
        with (
            CaptureQueriesContext(connection) as queries,
            patch("ami.users.sign_in.cache.incr", side_effect=AssertionError),
        ):
            answer = sign_in("guess", address="203.0.113.9")
        assert (answer.status_code, len(queries)) == (429, 1)
        assert "Try again in a few seconds." in answer.text
        assert answer["Retry-After"] == "1"

    def test_stranger_with_the_password_signs_in_later(self, user: User, clock: Mock) -> None:
        assert sign_in().status_code == 429
        clock.return_value += 1
        assert sign_in().status_code == 302

    def test_known_person_signs_in(self, user: User) -> None:
        AccessLog.objects.create(username="ada@example.org", ip_address="203.0.113.1")
        assert sign_in().status_code == 302

    @pytest.mark.parametrize("email", ["\x00", "", "a" * 999, "\U0001f98b", "\ud800"])
    def test_odd_form_is_refused(self, email: str) -> None:
        answer = Client(REMOTE_ADDR="").post(
            LOGIN,
            f"username={quote(email, errors='surrogatepass')}",
            "application/x-www-form-urlencoded",
        )
        assert answer.status_code == 429
        assert "default-src" in answer["Content-Security-Policy"]

    def test_other_pages_and_the_form_are_shown(self) -> None:
        client = Client()
        assert client.get(LOGIN).status_code == 200
        assert client.post("/healthz", {"username": "ada@example.org"}).status_code != 429


def test_next_period_starts_at_zero(clock: Mock, hashes: list[str]) -> None:
    for number in range(9):
        sign_in("guess", f"{number}@example.org")
    clock.return_value += 1
    assert sign_in("guess", "9@example.org").status_code == 200
    assert len(hashes) == 2


def test_people_who_sign_in_do_not_slow_each_other(user: User) -> None:
    for number in range(12):
        make_user(email=f"{number}@example.org", password=PASSWORD, is_staff=True)
        assert sign_in(email=f"{number}@example.org").status_code == 302


def test_of_twenty_guesses_at_once_one_is_hashed(
    transactional_db: None, live_server: LiveServer
) -> None:
    make_user(email="ada@example.org", password=PASSWORD, is_staff=True)
    AccessLog.objects.create(username="ada@example.org", ip_address="127.0.0.1")
    hashed: list[str] = []
    answered, refused = threading.Semaphore(0), threading.Event()
    encode = MD5PasswordHasher.encode

    def wait(self: Any, password: str, salt: str) -> str:
        """Hash only when the other guesses were answered."""
        hashed.append(password)
        assert refused.wait(60)
        return encode(self, password, salt)

    def attempt(number: int) -> int:
        with requests.Session() as session:
            session.get(live_server.url + LOGIN, timeout=60)
            form = {
                "username": "ada@example.org",
                "password": f"guess {number}",
                "csrfmiddlewaretoken": session.cookies["csrftoken"],
            }
            status = session.post(live_server.url + LOGIN, form, timeout=120).status_code
        answered.release()
        return status

    with patch.object(MD5PasswordHasher, "encode", wait), ThreadPoolExecutor(20) as pool:
        guesses = [pool.submit(attempt, number) for number in range(20)]
        in_time = [answered.acquire(timeout=60) for _ in range(19)]
        refused.set()
        statuses = [each.result() for each in guesses]
    assert all(in_time)
    assert len(hashed) == 1
    assert statuses.count(429) == 19


def test_slow_hashes_do_not_pile_up(clock: Mock) -> None:
    """While the instance hashes as many guesses as it may, the next is refused in any period."""
    encode = MD5PasswordHasher.encode
    statuses: dict[int, int] = {}

    def attempt(number: int) -> None:
        clock.return_value += 10
        answer = sign_in(str(number), f"{number}@example.org", f"203.0.113.{number}")
        statuses[number] = answer.status_code

    def slow(self: Any, password: str, salt: str) -> str:
        """The next guess comes before this one is hashed."""
        if int(password) < 5:
            attempt(int(password) + 1)
        return encode(self, password, salt)

    with patch.object(MD5PasswordHasher, "encode", slow):
        attempt(1)
        assert statuses == {1: 200, 2: 200, 3: 429}
        attempt(5)
        assert statuses[5] == 200


def test_people_sign_in_while_redis_is_down(user: User, caplog: pytest.LogCaptureFixture) -> None:
    with patch("django.core.cache.backends.redis.RedisCache.add", side_effect=RedisConnectionError):
        assert sign_in().status_code == 302
    assert "Attempts to sign in are not counted" in caplog.messages


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", None),
    ],
)
def test_client_is_an_address_or_a_network(address: str, expected: str | None) -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=address)) == expected


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"username": "", "password": ""},
        {"username": "\x00", "password": "\x00"},
        {"username": "a" * 999, "password": "b" * 99_999},
        {"username": "\U0001f98b", "password": "x"},
    ],
)
def test_odd_form_is_answered(form: dict[str, str]) -> None:
    headers = {"user-agent": "x" * 999, "accept": "y" * 9_999}
    client = Client(REMOTE_ADDR="", headers=headers)
    for _ in range(6):
        assert client.post(f"{LOGIN}?q=\x00", form).status_code in {200, 429}


@pytest.mark.parametrize("password", ["short", "123456789012345", "password1234", "ada@example"])
def test_weak_password_is_refused(admin_client: Client, password: str) -> None:
    form = {
        "email": "ada@example.org",
        "usable_password": "true",
        "password1": password,
        "password2": password,
    }
    assert admin_client.post("/admin/users/user/add/", form).status_code == 200
    assert not User.objects.filter(email="ada@example.org").exists()

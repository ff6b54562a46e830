"""The pages of people who work, while others guess passwords: gunicorn with its real hasher."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection
from django.test import Client

from ami.users.models import User
from benchmarks import databases
from benchmarks.report import Figure

TITLE = "Pages while passwords are guessed"
PEOPLE, GUESSERS = 5, 20
PAGES = ("/admin/", "/admin/main/occurrence/", "/admin/jobs/job/")
SERVER = ("gunicorn", "config.wsgi", "--workers=3", "--threads=4")


def run(*, quick: bool) -> list[Figure]:
    """Each guesser has an address and a person of its own, which is the worst case."""
    seconds = 3 if quick else 30
    name = databases.seeded("sign_in", "empty", fill=lambda sizes: None)
    with databases.copied(name):
        sessions = [_session(number) for number in range(PEOPLE)]
        with _server() as url:
            _measure(url, sessions, seconds=2)
            quiet, _ = _measure(url, sessions, seconds=seconds)
            stop = threading.Event()
            statuses: list[int] = []
            guessers = [
                threading.Thread(target=_guess, args=(url, number, stop, statuses))
                for number in range(GUESSERS)
            ]
            for guesser in guessers:
                guesser.start()
            began = time.monotonic()
            try:
                busy, failures = _measure(url, sessions, seconds=seconds)
            finally:
                stop.set()
                for guesser in guessers:
                    guesser.join()
            elapsed = time.monotonic() - began
    hashed = sum(status == 200 for status in statuses)
    return [
        Figure("p95 of a page, nobody guesses", 1000 * _p95(quiet), "ms"),
        Figure("p95 of a page, 20 people guess", 1000 * _p95(busy), "ms", at_most=1000),
        Figure("server errors", failures + sum(code >= 500 for code in statuses), at_most=0),
        Figure("guesses answered", len(statuses)),
        Figure("guesses hashed per second", hashed / elapsed, at_most=2.2),
    ]


def _session(number: int) -> str:
    client = Client()
    client.force_login(User.objects.create_superuser(email=f"{number}@example.org"))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _measure(url: str, sessions: list[str], *, seconds: float) -> tuple[list[float], int]:
    """Let each person open pages for a while; returns the seconds per page, and the failures."""
    took: list[float] = []
    failed: list[str] = []
    until = time.monotonic() + seconds

    def click(session: str) -> None:
        cookies = {settings.SESSION_COOKIE_NAME: session}
        while time.monotonic() < until:
            for path in PAGES:
                start = time.perf_counter()
                answer = requests.get(url + path, cookies=cookies, timeout=120)
                took.append(time.perf_counter() - start)
                if answer.status_code != 200 or answer.history:
                    failed.append(path)
            time.sleep(0.2)  # a person reads

    people = [threading.Thread(target=click, args=(session,)) for session in sessions]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return took, len(failed)


def _guess(url: str, number: int, stop: threading.Event, statuses: list[int]) -> None:
    token, guess = "x" * 32, 0
    while not stop.is_set():
        guess += 1
        answer = requests.post(
            f"{url}/admin/login/",
            {
                "username": f"{number}-{guess // 4}@example.org",
                "password": f"guess {guess}",
                "csrfmiddlewaretoken": token,
            },
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
            cookies={settings.CSRF_COOKIE_NAME: token},
            timeout=120,
        )
        statuses.append(answer.status_code)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


@contextmanager
def _server() -> Iterator[str]:
    """Run production's gunicorn on the current database; yields its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}")
    with tempfile.TemporaryDirectory() as folder:
        scripts = str(Path(sys.executable).parent)
        environment = os.environ | {
            "PATH": os.pathsep.join((scripts, os.environ["PATH"])),
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "SECRET_KEY": settings.SECRET_KEY,  # which signed the sessions
            "ALLOWED_HOSTS": "*",
            "SECURE_SSL_REDIRECT": "false",
            "TRUSTED_PROXIES": "127.0.0.1",
            "DATABASE_URL": database.geturl(),
            "REDIS_URL": settings.REDIS_URL,
            "STATIC_ROOT": f"{folder}/static",
        }
        collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
        subprocess.run(collect, env=environment, cwd=settings.ROOT, check=True)
        command = [*SERVER, f"--bind=127.0.0.1:{port}", "--log-level=error"]
        with (Path(folder) / "log").open("w") as log:
            server = subprocess.Popen(
                command, env=environment, cwd=settings.ROOT, stdout=log, stderr=log
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url)
            yield url
        finally:
            server.terminate()
            server.wait(30)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            requests.get(f"{url}/admin/login/", timeout=60).raise_for_status()
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    sys.exit("gunicorn did not answer within a minute.")

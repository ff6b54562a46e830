"""The pages of 20 people who work, while two Jobs run and others guess passwords.

The server is gunicorn with the real hasher; a Celery worker runs the Jobs.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import requests
from django.conf import settings
from django.test import Client

from ami.jobs.models import Job, JobState
from ami.main.models import Occurrence, Project, SourceImage, SourceImageCollection
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.users.models import User
from benchmarks import databases
from benchmarks.report import Figure
from benchmarks.small_size_filter import SIZES
from benchmarks.workers import worker
from config.tests.processes import database_url, free_port

TITLE = "Pages while Jobs run and passwords are guessed"
PEOPLE, GUESSERS, JOBS = 20, 20, 2
READING = (1.0, 3.0)  # the seconds that a person looks at a page
PAGES = (
    "/admin/",
    "/admin/main/occurrence/",
    "/admin/main/detection/?p=3",
    "/admin/main/classification/",
    "/admin/main/occurrence/{occurrence}/change/",
    "/admin/jobs/job/",
    "/admin/jobs/job/{job}/change/",
    "/admin/jobs/job/{job}/live/",
    "/admin/main/project/{project}/overview/",
)
SERVER = ("gunicorn", "config.wsgi", "--workers=3", "--threads=4")


def run(*, quick: bool) -> list[Figure]:
    """Each guesser has an address and a person of its own, which is the worst case."""
    seconds = 3 if quick else 30
    label, sizes = ("quick", SIZES.scaled(0.1)) if quick else ("filter_tenfold", SIZES.scaled(10))
    name = databases.seeded(label, sizes)
    with databases.copied(name):
        sessions = [_session(number) for number in range(PEOPLE)]
        jobs = Jobs()
        with _server() as url, worker(processes=JOBS):
            _measure(url, sessions, jobs, seconds=2)
            quiet, _ = _measure(url, sessions, jobs, seconds=seconds)
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
                busy, failures = _measure(url, sessions, jobs, seconds=seconds)
            finally:
                stop.set()
                for guesser in guessers:
                    guesser.join()
            elapsed = time.monotonic() - began
    hashed = sum(status == 200 for status in statuses)
    return [
        Figure("p95 of a page, 20 people, two Jobs", 1000 * _p95(quiet), "ms"),
        Figure(
            "p95 of a page, 20 people, two Jobs, 20 guess", 1000 * _p95(busy), "ms", at_most=1000
        ),
        Figure("server errors", failures + sum(code >= 500 for code in statuses), at_most=0),
        Figure("pages answered", len(quiet) + len(busy)),
        Figure("dry runs ended meanwhile", jobs.ended),
        Figure("guesses answered", len(statuses)),
        Figure("guesses hashed per second", hashed / elapsed, at_most=2.2),
    ]


def _session(number: int) -> str:
    client = Client()
    client.force_login(User.objects.create_superuser(email=f"{number}@example.org"))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


class Jobs:
    """Two dry runs of the size filter, each on half of the captures; ended ones start again."""

    def __init__(self) -> None:
        captures = list(SourceImage.objects.order_by("pk").values_list("pk", flat=True))
        project = Project.objects.earliest("pk")
        self.ended = 0
        self.rows = []
        for number in range(JOBS):
            half = SourceImageCollection.objects.create(name=f"Half {number}", project=project)
            half.images.set(captures[number::JOBS])
            config = {"source_image_collection_id": half.pk}
            self.rows.append(LaunchRow(f"Half {number}", project, config))
        self.running = [self._launch(row) for row in self.rows]
        self.places = {
            "occurrence": Occurrence.objects.latest("pk").pk,
            "job": self.running[0].pk,
            "project": project.pk,
        }

    @staticmethod
    def _launch(row: LaunchRow) -> Job:
        return launch(SmallSizeFilterTask, [row], dry_run=True)[0]

    def keep_running(self) -> None:
        for number, job in enumerate(self.running):
            job.refresh_from_db()
            if job.is_final:
                if job.status != JobState.SUCCESS:
                    sys.exit(f"A Job of the load ended: {job.error}")
                self.ended += 1
                self.running[number] = self._launch(self.rows[number])


def _measure(
    url: str, sessions: list[str], jobs: Jobs, *, seconds: float
) -> tuple[list[float], int]:
    """Let each person open pages for a while; returns the seconds per page, and the failures."""
    paths = [path.format(**jobs.places) for path in PAGES]
    took: list[float] = []
    failed: list[str] = []
    until = time.monotonic() + seconds

    def click(session: str, random: Random) -> None:
        cookies = {settings.SESSION_COOKIE_NAME: session}
        time.sleep(random.uniform(0, READING[1]))
        while time.monotonic() < until:
            path = random.choice(paths)
            start = time.perf_counter()
            answer = requests.get(url + path, cookies=cookies, timeout=120)
            took.append(time.perf_counter() - start)
            if answer.status_code != 200 or answer.history:
                failed.append(path)
            time.sleep(random.uniform(*READING))

    people = [
        threading.Thread(target=click, args=(session, Random(number)))
        for number, session in enumerate(sessions)
    ]
    for person in people:
        person.start()
    while any(person.is_alive() for person in people):
        jobs.keep_running()
        time.sleep(0.2)
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
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        scripts = str(Path(sys.executable).parent)
        environment = os.environ | {
            "PATH": os.pathsep.join((scripts, os.environ["PATH"])),
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "SECRET_KEY": settings.SECRET_KEY,  # which signed the sessions
            "ALLOWED_HOSTS": "*",
            "SECURE_SSL_REDIRECT": "false",
            "TRUSTED_PROXIES": "127.0.0.1",
            "DATABASE_URL": database_url(),
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

"""The wheel in another project, which consists of the files that the documentation shows."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import ZipFile

import psycopg2
import pytest
from django.conf import settings
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from ami.testing import MethodTests

pytestmark = pytest.mark.first
FILES = settings.ROOT / "docs" / "how-to" / "plug-in"
SOURCES = ("ami", "requirements", "LICENSE", "README.md", "pyproject.toml", "setup.py")
LEFT_OUT = shutil.ignore_patterns("__pycache__")

# Selects a capture set in the admin, runs the method on a worker, and looks at what it did.
CLICKS = """
import subprocess, sys, time
from datetime import datetime, timezone
from django.test import Client
import ami
from ami.jobs.models import Job
from ami.main.models import Deployment, Detection, Project, SourceImage, SourceImageCollection
from celery import current_app
from ami.users.models import User

print("ami from", ami.__file__)
project = Project.objects.create(name="Station")
capture = SourceImage.objects.create(
    project=project,
    deployment=Deployment.objects.create(project=project, name="Trap"),
    path="1.jpg",
    width=10,
    height=10,
    timestamp=datetime(2026, 7, 1, tzinfo=timezone.utc),
)
detection = Detection.objects.create(source_image=capture, bbox=[1, 1, 5, 5])
captures = SourceImageCollection.objects.create(project=project, name="All")
captures.images.add(capture)
client = Client()
client.force_login(User.objects.create_superuser(email="a@example.org", password="secret"))
url = "/admin/main/sourceimagecollection/"
chosen = {"action": "run_capture_time", "_selected_action": [captures.pk]}
page = client.post(url, chosen)
assert "Replace the times that are there" in page.content.decode(), page.content.decode()
current_app.control.purge()
client.post(url, {**chosen, "confirm": "yes"})
worker = subprocess.Popen(
    [sys.executable, "-m", "celery", "-A", "station", "worker", "--pool=solo", "--without-mingle"]
)
try:
    deadline = time.monotonic() + 60
    while (job := Job.objects.get()).finished_at is None and time.monotonic() < deadline:
        time.sleep(0.05)
finally:
    worker.terminate()
    worker.wait()
detection.refresh_from_db()
print("status", job.status)
print("time", detection.timestamp == capture.timestamp)
print("page", client.get(f"/admin/jobs/job/{job.pk}/change/").status_code)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, so that the build leaves nothing in the project."""
    copy, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = settings.ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=LEFT_OUT)
        else:
            shutil.copy(source, copy)
    pip("wheel", str(copy), "--no-build-isolation", f"--wheel-dir={built}")
    return next(built.glob("*.whl"))


@pytest.fixture
def database(services: None) -> Iterator[str]:
    name = f"station_{os.getpid()}"
    with server_cursor() as run:
        run(f"CREATE DATABASE {name}")
    yield urlsplit(settings.DATABASE_URL)._replace(path=f"/{name}").geturl()
    with server_cursor() as run:
        run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def server_cursor() -> Iterator[Callable[[str], None]]:
    connection = psycopg2.connect(settings.DATABASE_URL)
    connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    try:
        yield connection.cursor().execute
    finally:
        connection.close()


def pip(command: str, *arguments: str) -> None:
    run = [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", "--no-index", *arguments]
    subprocess.run([*run, "--disable-pip-version-check"], check=True)


def test_wheel_has_every_file_of_the_apps_and_no_test(wheel: Path) -> None:
    packed = {name for name in ZipFile(wheel).namelist() if name.startswith("ami/")}
    there = {
        path.relative_to(settings.ROOT).as_posix()
        for path in (settings.ROOT / "ami").rglob("*")
        if path.is_file() and not {"tests", "__pycache__"} & set(path.parts)
    }
    demo = "ami/ml/post_processing/management/"
    assert packed == {
        name for name in there if not name.startswith((f"{demo}demo/", f"{demo}commands/demo.py"))
    }


@pytest.fixture
def station(wheel: Path, database: str, tmp_path: Path) -> Callable[..., str]:
    """Install the wheel in the documented project; returns a function that runs Python there."""
    site, project = tmp_path / "site", tmp_path / "project"
    pip("install", str(wheel), "--no-compile", f"--target={site}")
    shutil.copytree(FILES, project, ignore=LEFT_OUT)

    def run(*arguments: str) -> str:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=project,
            env=environment
            | {
                "PYTHONPATH": str(site),
                "DATABASE_URL": database,
                "BROKER_URL": settings.CELERY_BROKER_URL,
                "REDIS_URL": settings.REDIS_URL,
                "SECRET_KEY": "station",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_plugged_in_method_and_check_run_in_another_project(
    station: Callable[..., str], tmp_path: Path
) -> None:
    station("manage.py", "migrate", "--verbosity=0")
    said = station("manage.py", "shell", "--no-imports", "--command", CLICKS)
    assert f"ami from {tmp_path / 'site'}" in said
    assert "status SUCCESS\ntime True\npage 200" in said
    assert "detection_without_time" in station("manage.py", "check_data_integrity", "--list")


def test_plugged_in_method_passes_the_tests_of_every_method(station: Callable[..., str]) -> None:
    said = station("-m", "pytest", "--quiet", "-p", "no:cacheprovider")
    tests = [name for name in dir(MethodTests) if name.startswith("test_")]
    assert f"{len(tests)} passed" in said


def test_extra_apps_of_the_environment_are_installed() -> None:
    ask = (
        "import django; django.setup();"
        "from ami.ml.post_processing.registry import POSTPROCESSING_TASKS;"
        "from ami.main.checks.declarations import chosen_checks;"
        "print(*POSTPROCESSING_TASKS, *(check.key for check in chosen_checks()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=settings.ROOT,
        env=os.environ | {"EXTRA_APPS": " clock,", "PYTHONPATH": str(FILES)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {"capture_time", "detection_without_time"} <= set(found)

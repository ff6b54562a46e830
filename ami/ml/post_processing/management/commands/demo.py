"""Start all services on this machine and run a method through the admin."""

import signal
import socket
import time
from typing import Any

import requests
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from ami.jobs.models import Job
from ami.jobs.states import FINAL, JobState
from ami.ml.post_processing.management.demo.children import Child, interrupt_once, running
from ami.ml.post_processing.management.demo.visitor import Visitor, job_id
from ami.users.models import User
from config.devservers import embedded

EMAIL = "demo@example.org"
PASSWORD = "demo"  # noqa: S105  only this machine can reach the site
HOST = "127.0.0.1"
CAPTURE_SET = "Demo captures"
START_SECONDS = 60
JOB_SECONDS = 300


class Command(BaseCommand):
    help = "Serve a demo project on this machine, and run the small size filter on it."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop when the Job has ended")
        parser.add_argument("--port", type=int, default=8000, help="the port of the web server")

    def handle(self, *args: Any, once: bool, port: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "The demo needs config.settings.local, because its password is public."
            )
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, interrupt_once)
        try:
            check_port(port)
            self._prepare()
            with running(_commands(port), folder=settings.ROOT / ".local" / "demo") as children:
                self._run_job(f"http://{HOST}:{port}", children)
                if not once:
                    self._serve(children)
        except KeyboardInterrupt:
            if once:
                raise CommandError("The demo was interrupted.") from None
            self.stdout.write("Stopping.")
        except OSError as error:
            if error.filename is None:
                raise
            raise CommandError(
                f"The demo cannot use {error.filename}: {error.strerror}; remove it, or run as "
                "the user who owns it."
            ) from None
        finally:
            connections.close_all()
            embedded.release()

    def _prepare(self) -> None:
        self.stdout.write("Preparing the database and the demo project …")
        call_command("migrate", verbosity=0)
        call_command("create_demo_project", verbosity=0)
        user, _ = User.objects.get_or_create(email=EMAIL)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(PASSWORD)
        user.save()

    def _run_job(self, site: str, children: list[Child]) -> None:
        _wait_for_site(site, children)
        visitor = Visitor(site)
        visitor.sign_in(EMAIL, PASSWORD)
        url = visitor.run_action(
            "/admin/main/sourceimagecollection/", action="run_small_size_filter", row=CAPTURE_SET
        )
        job = _wait_for_job(job_id(url), children)
        self.stdout.write(f"\n{job.name}: {job.get_status_display()}")
        for name, value in job.progress.figures.items():
            self.stdout.write(f"    {name}: {value}")
        self.stdout.write(f"\nJob:    {url}\nAdmin:  {site}/admin/")
        self.stdout.write(f"Log in: {EMAIL}, password {PASSWORD}\n")
        if job.status != JobState.SUCCESS:
            raise CommandError(f"The Job did not succeed: {job.error or job.get_status_display()}")

    def _serve(self, children: list[Child]) -> None:
        self.stdout.write("Serving until Ctrl-C.")
        self.stdout.flush()
        while True:
            _check(children)
            time.sleep(0.5)


def _commands(port: int) -> dict[str, tuple[str, ...]]:
    celery = ("-m", "celery", "--app=config", "--quiet")
    return {
        "web": ("manage.py", "runserver", "--noreload", "--skip-checks", f"{HOST}:{port}"),
        "worker": (*celery, "worker", "--concurrency=1", "--loglevel=INFO"),
        "beat": (*celery, "beat", "--loglevel=INFO"),
    }


def check_port(port: int) -> None:
    """Raise CommandError if the demo cannot listen on the port."""
    if port == 0:
        raise CommandError("Port 0 is not a valid port: choose one, as in `make demo PORT=8001`.")
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(
                f"Port {port} cannot be used ({reason}): choose another, as in "
                "`make demo PORT=8001`."
            ) from None


def _check(children: list[Child]) -> None:
    for child in children:
        child.check()


def _wait_for_site(site: str, children: list[Child]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _check(children)
        try:
            requests.get(f"{site}/admin/login/", timeout=START_SECONDS)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise CommandError(f"{site} did not answer within {START_SECONDS} s.")


def _wait_for_job(pk: int, children: list[Child]) -> Job:
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        _check(children)
        job = Job.objects.get(pk=pk)
        if job.status in FINAL:
            return job
        time.sleep(0.2)
    raise CommandError(f"Job {pk} did not end within {JOB_SECONDS} s.")

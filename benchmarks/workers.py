"""A Celery worker for benchmarks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from celery import current_app
from django.conf import settings

from config.tests.processes import database_url

NODE = "bench@localhost"


@contextmanager
def worker(*, processes: int) -> Iterator[None]:
    """Run a Celery worker on the current database and the tests' queues; purge these at the end."""
    arguments = ("worker", f"--concurrency={processes}", "--without-gossip", "--without-mingle")
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "config", *arguments, "-n", NODE],
        cwd=settings.ROOT,
        env=os.environ | {"DATABASE_URL": database_url()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not current_app.control.ping(destination=[NODE], timeout=0.5):
            if process.poll() is not None:
                sys.exit("The measured worker did not start.")
        yield
    finally:
        process.terminate()
        process.wait()
        current_app.control.purge()

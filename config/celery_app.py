"""The Celery application; workers and beat start with ``celery -A config``."""

import os
import signal
import sys
from typing import Any

from celery import Celery
from celery.signals import import_modules, worker_ready
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, SystemCheckError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

app = Celery("ami")


# Celery sends this signal when a worker or beat starts, before it connects to a server.
@import_modules.connect
def hold_services(**kwargs: Any) -> None:
    try:
        if settings.HOLD_SERVICES:
            settings.HOLD_SERVICES(settings.DATABASE_URL, settings.REDIS_URL)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


# Celery also runs the system checks, but starts even if they fail.
@import_modules.connect
def refuse_unfit_settings(**kwargs: Any) -> None:
    try:
        BaseCommand().check(tags=["celery"])
    except SystemCheckError as error:
        sys.exit(str(error))


# On SIGTERM, Celery waits until its tasks end; on SIGQUIT, only for the soft shutdown. Its own
# REMAP_SIGTERM would have to be in the environment before Celery is imported.
@worker_ready.connect
def stop_softly(**kwargs: Any) -> None:
    """Let SIGTERM stop a worker as SIGQUIT does."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGQUIT))


app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

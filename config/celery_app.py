"""The Celery application; workers and beat start with ``celery -A config``."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import import_modules
from django.conf import settings

from config import embedded
from config.servers import ServiceError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

app = Celery("ami")


# Celery sends this where a worker or beat starts, before either touches a server.
@import_modules.connect
def hold_services(**kwargs: Any) -> None:
    try:
        embedded.hold(settings.DATABASE_URL, settings.REDIS_URL)
    except ServiceError as error:
        sys.exit(str(error))


app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

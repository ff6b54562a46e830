"""Measure speed and memory; `python -m benchmarks` prints and stores the figures."""

import os
import sys
from pathlib import Path

import django
from django.conf import settings

# Set this before `config` is imported, which defaults to the development settings.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")

from ami.base.garbage import spare_loaded_objects
from config.devservers import embedded
from config.devservers.servers import ServiceError

FOLDER = Path(__file__).parent


def set_up() -> None:
    """Set up Django as in a worker; start the embedded services unless others are configured."""
    django.setup()
    spare_loaded_objects()
    if settings.DEBUG:
        sys.exit(
            "With DEBUG, Django stores every statement, which costs time and memory: unset it."
        )
    try:
        embedded.hold(settings.DATABASE_URL, settings.REDIS_URL)
    except ServiceError as error:
        sys.exit(str(error))

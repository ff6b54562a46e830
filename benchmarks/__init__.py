"""Speed and memory, as ratios that one run takes; `python -m benchmarks` prints and keeps them."""

import os
import sys
from pathlib import Path

import django
from django.conf import settings

# Before `config` is read, which names a developer's settings.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")

from config import embedded
from config.servers import ServiceError

FOLDER = Path(__file__).parent


def set_up() -> None:
    """Make Django ready, and the embedded services where no others are named."""
    django.setup()
    if settings.DEBUG:
        sys.exit("With DEBUG, Django keeps every statement, which costs time and memory: unset it.")
    try:
        embedded.hold(settings.DATABASE_URL, settings.REDIS_URL)
    except ServiceError as error:
        sys.exit(str(error))

"""Speed and memory, as ratios that one run takes; `python -m benchmarks` prints and keeps them."""

import os
import sys
from pathlib import Path

import django
from django.conf import settings

from config import embedded
from config.servers import ServiceError

FOLDER = Path(__file__).parent


def set_up() -> None:
    """Make Django ready, and the embedded services where no others are named."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    django.setup()
    try:
        embedded.hold(settings.DATABASE_URL, settings.REDIS_URL)
    except ServiceError as error:
        sys.exit(str(error))

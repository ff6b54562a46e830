"""Settings for development and for the demo."""

import os

from config.devservers import embedded
from config.settings.base import *
from config.settings.urls import broker_url, caches, database

DEBUG = True
SECRET_KEY = "local"  # noqa: S105  used only on the local machine
ALLOWED_HOSTS = ["*"]

# Embedded servers are used where no URL is set.
DATABASE_URL = os.environ.get("DATABASE_URL") or embedded.POSTGRES.url
REDIS_URL = os.environ.get("REDIS_URL") or embedded.REDIS.url
DATABASES = {"default": database(DATABASE_URL)}
CELERY_BROKER_URL = broker_url(REDIS_URL)
CACHES = caches(REDIS_URL)
HOLD_SERVICES = embedded.hold

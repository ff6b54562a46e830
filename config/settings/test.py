"""Settings for tests: separate embedded servers, with a database and keys for each process."""

import os

from config.devservers import embedded
from config.settings.base import *
from config.settings.urls import broker_url, caches, database

DEBUG = False
SECRET_KEY = "test"  # noqa: S105
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

DATABASE_URL = os.environ.get("DATABASE_URL") or embedded.TEST_POSTGRES.url
REDIS_URL = os.environ.get("REDIS_URL") or embedded.TEST_REDIS.url
DATABASES = {"default": database(DATABASE_URL)}
CELERY_BROKER_URL = broker_url(REDIS_URL)
HOLD_SERVICES = embedded.hold

# On shared servers, a worker of one test process must not take messages of another process.
# Processes that a test starts inherit the name of its process, or the prefix of its keys.
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "main")
CACHES = caches(REDIS_URL, prefix=f"test-{PROCESS}:cache:")
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {
    "global_keyprefix": os.environ.get("TEST_KEYPREFIX", f"test-{PROCESS}:")
}

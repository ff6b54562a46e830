"""The test session: embedded servers of its own, a database and a queue for each process."""

import os

from config import embedded
from config.settings.base import *
from config.settings.urls import broker_url, database

DEBUG = False
SECRET_KEY = "test"  # noqa: S105
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

DATABASE_URL = os.environ.get("DATABASE_URL") or embedded.TEST_POSTGRES.url
REDIS_URL = os.environ.get("REDIS_URL") or embedded.TEST_REDIS.url
DATABASES = {"default": database(DATABASE_URL)}
CELERY_BROKER_URL = broker_url(REDIS_URL)

# Where the servers are shared, a worker of the tests must never take a message of another process,
# nor the other way round. Processes that a test starts inherit the name of theirs, or the keys.
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "main")
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {
    "global_keyprefix": os.environ.get("TEST_KEYPREFIX", f"test-{PROCESS}:")
}

"""The test session: the demo's servers, with a database and a queue of its own."""

import os

from config.settings.base import *

DEBUG = False
SECRET_KEY = "test"  # noqa: S105
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# A worker of the tests must never take a message of the demo or of another test process, nor the
# other way round. Processes that a test starts inherit the name of theirs.
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "main")
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {
    "global_keyprefix": f"test-{PROCESS}:"
}

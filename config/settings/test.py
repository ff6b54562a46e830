"""The test session: the demo's servers, with a database and a queue of its own."""

from config.settings.base import *

DEBUG = False
SECRET_KEY = "test"  # noqa: S105
ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# A test's worker must never take the demo's messages, nor the demo's worker a test's.
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {"global_keyprefix": "test:"}

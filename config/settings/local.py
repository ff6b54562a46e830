"""A developer's machine, and the demo."""

from config.settings.base import *

DEBUG = True
SECRET_KEY = "local"  # noqa: S105  guards nothing that others can reach
ALLOWED_HOSTS = ["*"]

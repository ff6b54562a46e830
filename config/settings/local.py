"""Settings for development and for the demo."""

from config.settings.base import *

DEBUG = True
SECRET_KEY = "local"  # noqa: S105  used only on the local machine
ALLOWED_HOSTS = ["*"]

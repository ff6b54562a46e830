"""The settings of every environment. `local`, `test` and `production` add their own."""

import os
from collections.abc import Callable
from pathlib import Path

from ami.security import *
from ami.settings import *
from config.settings.storages import s3, s3_origins

ROOT = Path(__file__).resolve().parents[2]

INSTALLED_APPS = [
    "ami.base.apps.GuardedAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django_celery_beat",
    "axes",
    "ami.users",
    "ami.main",
    "ami.ml",
    "ami.jobs",
    "ami.ml.post_processing",
    "ami.integrity",
    "ami.review",
    "ami.exchange",
    *filter(None, map(str.strip, os.environ.get("EXTRA_APPS", "").split(","))),
]

MIDDLEWARE = [
    "ami.base.proxies.TrustedProxiesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "ami.users.sign_in.SignInGateMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "ami.users.sessions.SessionLimitsMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # must be the last one
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTH_USER_MODEL = "users.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The function that starts the servers of these URLs, and is called before they are needed.
HOLD_SERVICES: Callable[..., None] | None = None

# A user may select 10,000 rows, and must get an error message instead of a 400.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

# A category map of 30,000 classes is 3 MB of JSON, and twice that when a form submits it.
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 2**20

# Every text of the project is English. To look up translations would take a tenth of a list's time.
LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

# Other servers that captures and crops come from, such as https://images.example.org.
CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"] += filter(
    None, map(str.strip, os.environ.get("IMAGE_ORIGINS", "").split(","))
)
CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"] += s3_origins()

# The address of the documentation, to which the page of methods links; no links by default.
if (DOCS_URL := os.environ.get("DOCS_URL", "")) and not DOCS_URL.endswith("/"):
    DOCS_URL += "/"

# Prometheus must send this token to /metrics; without one, the page does not exist.
METRICS_TOKEN = os.environ.get("METRICS_TOKEN", "")

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
} | s3()
STATIC_URL = "static/"
STATIC_ROOT = Path(os.environ.get("STATIC_ROOT") or ROOT / "staticfiles")
MEDIA_ROOT = Path(os.environ.get("MEDIA_ROOT") or ROOT / ".local" / "media")
# Below this address, a proxy serves files of MEDIA_ROOT when a response says so; none by default.
X_ACCEL_REDIRECT = os.environ.get("X_ACCEL_REDIRECT", "")

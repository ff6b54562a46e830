"""Settings for production: all secrets and site-specific values come from the environment."""

import os

from django.core.exceptions import ImproperlyConfigured

from config.settings.base import *
from config.settings.urls import broker_url, caches, database


def _list(name: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


def _flag(name: str, *, default: bool) -> bool:
    return os.environ.get(name, str(default)).lower() in {"1", "true", "yes", "on"}


_required = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL")
if _missing := [name for name in _required if not os.environ.get(name)]:
    raise ImproperlyConfigured(
        f"Production settings need {', '.join(_missing)}: set it in the environment."
    )

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = _list("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS")

DATABASE_URL = os.environ["DATABASE_URL"]
REDIS_URL = os.environ["REDIS_URL"]
DATABASES = {"default": database(DATABASE_URL, conn_max_age=60, conn_health_checks=True)}
CELERY_BROKER_URL = broker_url(REDIS_URL)
CACHES = caches(REDIS_URL)

MIDDLEWARE = [
    *MIDDLEWARE[:2],
    "whitenoise.middleware.WhiteNoiseMiddleware",  # must follow the security middleware
    *MIDDLEWARE[2:],
]
STORAGES = STORAGES | {
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# Turn this off only if a proxy redirects to TLS. The header reaches Django only from a proxy of
# TRUSTED_PROXIES, which must set it.
SECURE_SSL_REDIRECT = _flag("SECURE_SSL_REDIRECT", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = _flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=True)
SECURE_HSTS_PRELOAD = _flag("SECURE_HSTS_PRELOAD", default=True)
SESSION_COOKIE_SECURE = True
SESSION_IDLE_SECONDS = int(os.environ.get("SESSION_IDLE_SECONDS") or 0)
TRUSTED_PROXIES = _list("TRUSTED_PROXIES")
CSRF_COOKIE_SECURE = True

LOG_FORMAT = os.environ.get("LOG_FORMAT") or "text"
if LOG_FORMAT not in {"text", "json"}:
    raise ImproperlyConfigured(f"LOG_FORMAT must be text or json, got {LOG_FORMAT!r}.")
# Otherwise a worker would replace the handler by its own, which writes text.
CELERY_WORKER_HIJACK_ROOT_LOGGER = LOG_FORMAT == "text"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "json": {"()": "ami.base.json_logs.JSONFormatter"},
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": LOG_FORMAT,
        }
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
}

# Reports errors and crashed Jobs. People are not named, and nothing is sent without a DSN.
if SENTRY_DSN := os.environ.get("SENTRY_DSN"):
    import sentry_sdk

    sentry_sdk.init(
        dsn=SENTRY_DSN,
        environment=os.environ.get("SENTRY_ENVIRONMENT") or "production",
        send_default_pii=False,
    )

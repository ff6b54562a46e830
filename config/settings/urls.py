"""Settings from the URLs of the services."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import dj_database_url

CONNECT_SECONDS = 3  # less than the timeout of 5 s of config.health


def broker_url(redis_url: str) -> str:
    """Return `redis_url` for Celery, which does not support `unix://` for a Unix socket."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = {"virtual_host": parse_qs(parts.query).get("db", ["0"])[0]}
    return f"redis+socket://{parts.path}?{urlencode(query)}"


def caches(redis_url: str, prefix: str = "ami:cache:") -> dict[str, dict[str, Any]]:
    """Return the caches of Django's settings. The broker uses the same Redis."""
    options = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": CONNECT_SECONDS}
    return {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": redis_url,
            "KEY_PREFIX": prefix,
            "OPTIONS": options,
        }
    }


def database(url: str, **options: Any) -> dict[str, Any]:
    """Return `url` as a database of Django's settings, with `options` of dj-database-url.

    A timeout keeps a server that does not respond from blocking requests and workers forever.
    """
    parsed: dict[str, Any] = {**dj_database_url.parse(url, **options)}
    parsed["OPTIONS"] = {"connect_timeout": CONNECT_SECONDS} | parsed.get("OPTIONS", {})
    return parsed

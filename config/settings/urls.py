"""What the two URLs of the services become in the settings."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import dj_database_url

CONNECT_SECONDS = 3  # and a probe of /healthz waits for 5


def broker_url(redis_url: str) -> str:
    """Return `redis_url` for Celery: a Unix socket is `unix://` to redis-py only."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = {"virtual_host": parse_qs(parts.query).get("db", ["0"])[0]}
    return f"redis+socket://{parts.path}?{urlencode(query)}"


def database(url: str, **options: Any) -> dict[str, Any]:
    """Return `url` for Django, with `options` of dj-database-url.

    A server that takes a connection and says nothing holds no request, and no worker, for ever.
    """
    parsed: dict[str, Any] = {**dj_database_url.parse(url, **options)}
    parsed["OPTIONS"] = {"connect_timeout": CONNECT_SECONDS} | parsed.get("OPTIONS", {})
    return parsed

"""How Celery writes the URL that redis-py writes otherwise."""

from urllib.parse import parse_qs, urlencode, urlsplit


def broker_url(redis_url: str) -> str:
    """Return `redis_url` for Celery: a Unix socket is `unix://` to redis-py only."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = {"virtual_host": parse_qs(parts.query).get("db", ["0"])[0]}
    return f"redis+socket://{parts.path}?{urlencode(query)}"

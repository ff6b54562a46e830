"""Limits of guessing passwords: django-axes locks, and rates apply before a password is hashed.

A hash costs a third of a second of a processor. Failures are counted after it, so many guesses at
once would all be hashed. The rates therefore count an attempt when it starts, and take it back if
it succeeds.
"""

import logging
import time
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessLog
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from redis.exceptions import RedisError

from ami.base.errors import error_page

logger = logging.getLogger(__name__)


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address, or for IPv6 its network, since one client has a whole /64."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a Unix socket
        return None
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ip_network((int(address), 64), strict=False).network_address)


def person_of(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """Return what was typed as the e-mail address, at most as long as the tables of axes allow."""
    return str((credentials or {}).get(settings.AXES_USERNAME_FORM_FIELD) or "")[:255]


class RatedHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """The locks of django-axes, and the rates of `SIGN_IN_ATTEMPTS`."""

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        person = person_of(request, credentials)
        request.sign_in_locked = super().is_locked(request, credentials)
        return request.sign_in_locked or self._is_too_fast(request, person)

    def user_logged_in(self, sender: Any, request: Any, user: Any, **options: Any) -> None:
        super().user_logged_in(sender, request, user, **options)
        with suppress(RedisError, ValueError):  # of a server that was restarted meanwhile
            for key in getattr(request, "sign_in_counted", ()):
                cache.decr(key)

    def _is_too_fast(self, request: Any, person: str) -> bool:
        address = request.axes_ip_address
        counted = {"person": f"{person} {address}"}
        if not _is_known(person, address):
            counted |= {"address": str(address), "instance": ""}
        try:
            return any(
                _count(request, name, of) > settings.SIGN_IN_ATTEMPTS[name]
                for name, of in counted.items()
            )
        except RedisError:
            # Without Redis, the locks still hold, and people can sign in to see what is wrong.
            logger.exception("Attempts to sign in are not counted")
            return False


def _is_known(person: str, address: str | None) -> bool:
    since = timezone.now() - timedelta(days=settings.SIGN_IN_KNOWN_DAYS)
    signed_in = AccessLog.objects.filter(username=person, ip_address=address)
    return bool(signed_in.filter(attempt_time__gte=since).exists())


def _count(request: Any, name: str, of: str) -> int:
    """Count one more attempt in the current period, and return the number of those in it."""
    period = int(time.time() // settings.SIGN_IN_SECONDS)
    digest = sha256(of.encode(errors="replace")).hexdigest()
    key = f"sign-in:{name}:{digest}:{period}"
    # The key outlives its period, so that it exists until the attempt is taken back.
    cache.add(key, 0, timeout=settings.SIGN_IN_SECONDS + 60)
    request.sign_in_counted = [*getattr(request, "sign_in_counted", ()), key]
    return cache.incr(key)


def refusal(request: Any, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """Return the page that tells how long to wait; axes calls it for a refused attempt."""
    locked = getattr(request, "sign_in_locked", False) or request.axes_failures_since_start
    wait = settings.AXES_COOLOFF_TIME if locked else timedelta(seconds=settings.SIGN_IN_SECONDS)
    if locked:
        minutes = int(wait.total_seconds() // 60)
        failures = settings.AXES_FAILURE_LIMIT
        texts = [
            f"{failures} attempts to log in from your address have failed. "
            f"Try again in {minutes} minutes.",
            "If you have forgotten your password, ask an administrator of this site for a new one.",
        ]
    else:
        texts = [
            "There are too many attempts to log in at this moment. Try again in a few seconds.",
            "Your password has not been checked.",
        ]
    page = error_page(request, 429, "Too many attempts to log in", texts)
    page["Retry-After"] = str(int(wait.total_seconds()))
    return page

"""Limits of guessing passwords: django-axes locks, and rates apply before a password is hashed.

A hash costs a third of a second of a processor, and longer on a busy server. Failures are counted
after it, so many guesses at once would all be hashed. The rates therefore count an attempt when it
starts, and take it back if it succeeds. The same numbers limit the attempts that are hashed at the
same time: a rate alone would let them pile up as soon as hashes take longer than they come.

When the instance has had as many as it may, a process refuses further attempts of strangers before
anything else of the request, until the period ends: thousands of refusals would also take time.
"""

import logging
import time
from collections.abc import Callable
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
from django.urls import reverse
from django.utils import timezone
from redis.exceptions import RedisError

from ami.base.errors import plain_page
from ami.base.storable import storable_text

logger = logging.getLogger(__name__)

# A place that is never given back, because its process was killed, is free again after this.
PLACE_SECONDS = 60
INSTANCE = "instance"


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
    typed = str((credentials or {}).get(settings.AXES_USERNAME_FORM_FIELD) or "")
    return typed.replace("\x00", "")[:255]


class SignInGateMiddleware:
    """Refuses attempts of strangers in a period that is known to be full.

    Must follow the middleware that finds the address of the client. Without it, attempts are
    limited as well, but each refusal takes several times as long.
    """

    full: int | None = None  # the last period in which the whole instance reached its limit

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            request.method == "POST"
            and self.full == _period()
            and request.path == reverse(settings.LOGIN_URL)
            and not _is_known(person_of(request, request.POST.dict()), client_address(request))
        ):
            return _too_many()
        return self.get_response(request)


class RatedHandler(AxesDatabaseHandler):  # type: ignore[misc]
    """The locks of django-axes, and the rates of `SIGN_IN_ATTEMPTS`."""

    def is_locked(self, request: Any, credentials: dict[str, Any] | None = None) -> bool:
        person = person_of(request, credentials)
        request.sign_in_locked = super().is_locked(request, credentials)
        return request.sign_in_locked or self._is_too_fast(request, person)

    def user_login_failed(
        self, sender: Any, credentials: Any, request: Any = None, **options: Any
    ) -> None:
        _release(request)
        _make_storable(request)
        super().user_login_failed(sender, credentials, request, **options)

    def user_logged_in(self, sender: Any, request: Any, user: Any, **options: Any) -> None:
        _release(request)
        _make_storable(request)
        super().user_logged_in(sender, request, user, **options)
        with suppress(RedisError, ValueError):  # of a server that was restarted meanwhile
            for key in getattr(request, "sign_in_counted", ()):
                cache.decr(key)

    def _is_too_fast(self, request: Any, person: str) -> bool:
        address = request.axes_ip_address
        counted = {"person": f"{person} {address}"}
        if not _is_known(person, address):
            counted |= {"address": str(address), INSTANCE: ""}
        try:
            for name, of in counted.items():
                most = settings.SIGN_IN_ATTEMPTS[name]
                if _count(request, name, of) > most or not _hold(request, name, of, most):
                    _release(request)
                    if name == INSTANCE:
                        SignInGateMiddleware.full = _period()
                    return True
        except RedisError:
            # Without Redis, the locks still hold, and people can sign in to see what is wrong.
            logger.exception("Attempts to sign in are not counted")
        return False


def _is_known(person: str, address: str | None) -> bool:
    since = timezone.now() - timedelta(days=settings.SIGN_IN_KNOWN_DAYS)
    signed_in = AccessLog.objects.filter(username=person, ip_address=address)
    return bool(signed_in.filter(attempt_time__gte=since).exists())


def _period() -> int:
    return int(time.time() // settings.SIGN_IN_SECONDS)


def _count(request: Any, name: str, of: str) -> int:
    """Count one more attempt in the current period, and return the number of those in it."""
    key = f"{_key(name, of)}:{_period()}"
    # The key outlives its period, so that it exists until the attempt is taken back.
    cache.add(key, 0, timeout=settings.SIGN_IN_SECONDS + 60)
    request.sign_in_counted = [*getattr(request, "sign_in_counted", ()), key]
    return cache.incr(key)


def _hold(request: Any, name: str, of: str, most: int) -> bool:
    """Take one of the places for attempts at the same time. Returns False if all are taken."""
    for place in range(most):
        key = f"{_key(name, of)}:place:{place}"
        if cache.add(key, 1, timeout=PLACE_SECONDS):
            request.sign_in_held = [*getattr(request, "sign_in_held", ()), key]
            return True
    return False


def _make_storable(request: Any) -> None:
    """Drop NUL characters from what axes stores of the request."""
    for name in ("axes_user_agent", "axes_http_accept", "axes_path_info"):
        if hasattr(request, name):
            setattr(request, name, storable_text(getattr(request, name)))


def _release(request: Any) -> None:
    """Give back the places that the attempt has taken."""
    held = getattr(request, "sign_in_held", ())
    if held:
        request.sign_in_held = []
        with suppress(RedisError):
            cache.delete_many(held)


def _key(name: str, of: str) -> str:
    return f"sign-in:{name}:{sha256(of.encode(errors='replace')).hexdigest()}"


def refusal(request: Any, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """Return the page that tells how long to wait; axes calls it for a refused attempt."""
    if not (getattr(request, "sign_in_locked", False) or request.axes_failures_since_start):
        return _too_many()
    wait = settings.AXES_COOLOFF_TIME
    texts = [
        f"{settings.AXES_FAILURE_LIMIT} attempts to log in from your address have failed. "
        f"Try again in {int(wait.total_seconds() // 60)} minutes.",
        "If you have forgotten your password, ask an administrator of this site for a new one.",
    ]
    return _refused(wait, texts)


def _too_many() -> HttpResponse:
    texts = [
        "There are too many attempts to log in at this moment. Try again in a few seconds.",
        "Your password has not been checked.",
    ]
    return _refused(timedelta(seconds=settings.SIGN_IN_SECONDS), texts)


def _refused(wait: timedelta, texts: list[str]) -> HttpResponse:
    page = plain_page(429, "Too many attempts to log in", texts)
    page["Retry-After"] = str(int(wait.total_seconds()))
    return page

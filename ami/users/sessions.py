"""The limits of a session: its age since signing in, and the time without a request."""

from collections.abc import Callable
from time import time
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, logout
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

SIGNED_IN_AT = "signed_in_at"
SEEN_AT = "seen_at"
SEEN_EVERY = 60  # seconds; so that a page that polls does not write the session each time


@receiver(user_logged_in)
def note_time(request: HttpRequest, **options: Any) -> None:
    """Note when the session began: Django's own limit starts anew whenever a session is saved."""
    request.session[SIGNED_IN_AT] = request.session[SEEN_AT] = int(time())


class SessionLimitsMiddleware:
    """Signs people out whose session has reached SESSION_COOKIE_AGE or SESSION_IDLE_SECONDS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        used = settings.SESSION_COOKIE_NAME in request.COOKIES and SESSION_KEY in request.session
        if used and (reason := _over(request.session)):
            logout(request)
            messages.info(request, f"{reason} Please log in again.")
        return self.get_response(request)


def _over(session: SessionBase) -> str:
    """Return why the session has ended, if it has; otherwise note that it is in use."""
    now, idle = int(time()), settings.SESSION_IDLE_SECONDS
    if now - session.setdefault(SIGNED_IN_AT, now) >= settings.SESSION_COOKIE_AGE:
        return f"Your session has reached its limit of {_told(settings.SESSION_COOKIE_AGE)}."
    if idle and now - session.setdefault(SEEN_AT, now) >= idle:
        return f"Your session has ended after {_told(idle)} without a request."
    if idle and now - session[SEEN_AT] >= min(SEEN_EVERY, idle // 2):
        session[SEEN_AT] = now
    return ""


def _told(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} hours" if hours and not minutes else f"{seconds // 60} minutes"

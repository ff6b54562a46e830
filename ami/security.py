"""The settings that keep the pages of `ami` safe, for sign-in and for browsers.

A settings module imports them with ``from ami.security import *``. The page on security of the
documentation lists the apps and the middleware that they need.
"""

from datetime import timedelta
from typing import Any

# What a browser may load and run. Nothing inline: pages consist of files of this server.
CONTENT_SECURITY_POLICY: dict[str, dict[str, Any]] = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "report-uri": "/csp-report",
    }
}

# People may do in a project what their role in it allows; see ami.main.access.
# Signing in: django-axes locks a person's address after this many failures in a row, for a while.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "ami.main.access.ProjectBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_HANDLER = "ami.users.sign_in.RatedHandler"
AXES_CLIENT_IP_CALLABLE = "ami.users.sign_in.client_address"
AXES_LOCKOUT_CALLABLE = "ami.users.sign_in.refusal"
AXES_USERNAME_FORM_FIELD = "username"
AXES_USERNAME_CALLABLE = "ami.users.sign_in.person_of"
AXES_SENSITIVE_PARAMETERS = ["csrfmiddlewaretoken"]
AXES_VERBOSE = False

# The attempts whose password is hashed within SIGN_IN_SECONDS, unless they succeed, and at the same
# time: those for one person from one address, all from one address, and all. People who signed in
# from their address within KNOWN_DAYS are subject only to the first limit.
SIGN_IN_SECONDS = 1
SIGN_IN_ATTEMPTS = {"person": 1, "address": 1, "instance": 2}
SIGN_IN_KNOWN_DAYS = 30

# The addresses and networks of proxies whose X-Forwarded headers are believed. Those of all others
# are dropped.
TRUSTED_PROXIES: list[str] = []

CSRF_FAILURE_VIEW = "ami.base.errors.csrf_failure"

LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# A session ends this long after signing in, and after this long without a request (0: never).
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_IDLE_SECONDS = 0

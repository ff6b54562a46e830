"""The settings that keep the pages of `ami` safe, for sign-in and for browsers.

A settings module imports them with ``from ami.security import *``. The page on security of the
documentation lists the apps and the middleware that they need.
"""

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

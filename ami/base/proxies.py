"""What proxies say about a request: believed only if the request comes from a trusted one."""

from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Networks = tuple[IPv4Network | IPv6Network, ...]
HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_URI",
)


class TrustedProxiesMiddleware:
    """Sets REMOTE_ADDR to the client's address; drops the headers of proxies that are not trusted.

    TRUSTED_PROXIES has their addresses and networks. Each proxy appends the address that it sees to
    X-Forwarded-For. The client is the last one that is not a trusted proxy. What is further left
    comes from the client, and can be anything. A Unix socket counts as trusted if any proxy is.

    Must come before every middleware that uses the scheme or the address of a request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta, trusted = request.META, _networks(tuple(settings.TRUSTED_PROXIES))
        peer = meta.get("REMOTE_ADDR", "")
        if _is_in(peer, trusted) or (trusted and not peer):
            hops = meta.get("HTTP_X_FORWARDED_FOR", "").split(",")
            clients = (hop.strip() for hop in reversed(hops) if not _is_in(hop.strip(), trusted))
            meta["REMOTE_ADDR"] = next(clients, "") or peer
        else:
            for name in HEADERS:
                meta.pop(name, None)
        return self.get_response(request)


@cache
def _networks(texts: tuple[str, ...]) -> Networks:
    """Raises ValueError if a text is neither an address nor a network."""
    return tuple(ip_network(text) for text in texts)


def _is_in(text: str, networks: Networks) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)

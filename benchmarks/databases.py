"""Separate databases for the benchmarks, next to the configured one.

A seeded database is kept for the next run, and created again if the seed or the schema changes. A
copy is used for one measurement.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ami.jobs.journal import triggers
from ami.main.management import scale, scale_sql
from ami.main.management.scale import Sizes, seed

# The secondary indexes, without those of constraints.
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes i
WHERE tablename = ANY(%s)
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = i.indexname)
"""
COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"


@contextmanager
def using(database: BaseDatabaseWrapper) -> Iterator[None]:
    """Use `database` as the default in the block, in all threads; its connection stays open."""
    former, settings = connections["default"], connections.settings["default"]
    connections["default"], connections.settings["default"] = database, database.settings_dict
    try:
        yield
    finally:
        connections["default"], connections.settings["default"] = former, settings


def connect(name: str) -> BaseDatabaseWrapper:
    database = connections["default"].copy()
    database.settings_dict["NAME"] = name
    return database


@contextmanager
def opened(name: str) -> Iterator[None]:
    """Use database `name` in the block, after reading every table once to warm caches."""
    database = connect(name)
    try:
        with using(database):
            for model in apps.get_models():
                model._default_manager.exists()
            yield
    finally:
        database.close()


@contextmanager
def copied(source: str) -> Iterator[None]:
    """Use a fresh copy of database `source` in the block, and drop it at the end."""
    name = f"{source}_copy"
    _create(name, template=source)
    try:
        with opened(name):
            yield
    finally:
        drop(name)


def warm() -> None:
    """Read every row, so that the next measurement does not include that."""
    for model in apps.get_models(include_auto_created=True):
        _execute(f"SELECT count(row) FROM {_quoted(model._meta.db_table)} row")  # noqa: S608


def _seed(sizes: Sizes) -> None:
    seed(sizes, report=lambda line: None)


def seeded(
    label: str,
    sizes: Any,
    *,
    fill: Callable[[Any], object] = _seed,
    template: str = "",
) -> str:
    """The name of a database with rows of these sizes, seeded by `fill` unless it exists.

    `fill` gets an empty database, or a copy of the database `template`.
    """
    name = f"bench_{connection.settings_dict['NAME']}_{label}"
    fingerprint = _fingerprint(sizes, fill)
    with connection.cursor() as cursor:
        cursor.execute(COMMENT, [name])
        if cursor.fetchone() == (fingerprint,):
            return name
    sys.stderr.write(f"Seeding {name} …\n")
    _create(name, template=template)
    with using(database := connect(name)):
        call_command("migrate", verbosity=0, interactive=False)
        fill(sizes)
        _execute("VACUUM (FREEZE, ANALYZE)")
    database.close()
    _execute(f"COMMENT ON DATABASE {_quoted(name)} IS '{fingerprint}'")
    return name


def empty() -> str:
    """The name of a database as `migrate` makes it."""
    return seeded("empty", (), fill=_nothing)


def _nothing(sizes: Any) -> None:
    """Add no rows."""


@contextmanager
def bulk_writes(models: Iterable[type[Model]]) -> Iterator[None]:
    """Write many rows of these tables in the block, without triggers and foreign keys.

    Their indexes are created again at the end.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(INDEXES, [[model._meta.db_table for model in models]])
        indexes = dict(cursor.fetchall())
        for name in indexes:
            cursor.execute(f"DROP INDEX {_quoted(name)}")
        yield
        for statement in [*indexes.values(), "RESET session_replication_role"]:
            cursor.execute(statement)


def _create(name: str, *, template: str = "") -> None:
    """Create the database anew, empty or as a copy of `template`."""
    drop(name)
    copy = f" TEMPLATE {_quoted(template)}" if template else ""
    _execute(f"CREATE DATABASE {_quoted(name)}{copy}")


def drop(name: str) -> None:
    _execute(f"DROP DATABASE IF EXISTS {_quoted(name)}")


def _fingerprint(sizes: Any, fill: Callable[[Any], object]) -> str:
    migrations = [
        path
        for config in apps.get_app_configs()
        for path in sorted(Path(config.path, "migrations").glob("*.py"))
    ]
    digest = hashlib.sha256(repr(sizes).encode())
    sources = [Path(module.__file__ or "") for module in (triggers, scale, scale_sql)]
    sources.append(Path(inspect.getfile(fill)))
    for path in [*sources, *migrations]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)

"""The transaction that processes a batch of a part: everything is committed, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.db import connection, transaction

from ami.jobs import transitions
from ami.jobs.engine.work import Planned, PlannedWork
from ami.jobs.journal.triggers import journaled
from ami.jobs.models import Job, JobChange, JobPart

# A worker that was stopped in the middle of a batch must not hold its locks forever.
IDLE_TIMEOUT = "SET LOCAL idle_in_transaction_session_timeout = '5min'"
# PostgreSQL plans the checks of foreign keys, which a commit makes row by row, once per session. By
# default, each reads small tables, such as those of taxa and algorithms, from the start.
KEYS_BY_INDEX = "SET LOCAL enable_seqscan = off"
# The last id of the journal before a batch: the batch's own changes have higher ids.
LAST_CHANGE = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_id_seq"
# The journal of a dry run is copied to a file, because the rollback would delete it.
KEEP = """
COPY (SELECT {columns} FROM {table} WHERE job_id = {job} AND id > {last} AND batch = {batch})
TO STDOUT (FORMAT binary)
"""
# It is written again after the rollback, with the same ids.
RESTORE = "COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
KEPT_IN_MEMORY = 2**24  # bytes of such a journal
JOURNAL = {
    "table": JobChange._meta.db_table,
    # PostgreSQL computes the others.
    "columns": ", ".join(
        str(field.column) for field in JobChange._meta.concrete_fields if not field.generated
    ),
}


def do_batch(part: JobPart, work: PlannedWork, batch: Planned) -> None:
    """Process the next batch of `part`: rows, journal, counters, cursor and heartbeat, or nothing.

    Raises ClaimLostError and commits nothing if another worker holds the part.
    """
    with _undone_in_memory(part, work), part.job.logger.rows.held():
        if part.job.dry_run:
            _try(part, work, batch)
        else:
            with _transaction(part.job):
                work.work_on(batch)
                advance(part, work, batch)


def advance(part: JobPart, work: PlannedWork, batch: Planned, *, failed: bool = False) -> None:
    """Move the part's cursor past `batch`. After the last batch, the part is done."""
    values: dict[str, Any] = {
        "rows_done": part.rows_done + batch.rows,
        "counts": list(work.counts.items()),
        "skipped": work.skipped,
    }
    if failed:
        values["rows_failed"] = part.rows_failed + batch.rows
    transitions.advance(part, **values)
    work.keep()


def prepare(job: Job, work: PlannedWork) -> None:
    """Prepare `work`. If the preparation of a dry run writes rows, each batch repeats it."""
    if not job.dry_run:
        work.prepare()
        return
    with transaction.atomic():
        former = _assigned_xid()
        work.prepare()
        work.prepares_anew = _assigned_xid() != former
        if work.prepares_anew:
            transaction.set_rollback(True)
    if work.prepares_anew:
        work.rolled_back()


def _try(part: JobPart, work: PlannedWork, batch: Planned) -> None:
    """Process the batch, check its constraints, and roll it back; keep only its journal."""
    with SpooledTemporaryFile(max_size=KEPT_IN_MEMORY) as journal:
        with transaction.atomic():
            with _transaction(part.job), connection.cursor() as cursor:
                if work.prepares_anew:
                    work.prepare()
                last = _value(cursor, LAST_CHANGE)
                work.work_on(batch)
                cursor.execute(f"{KEYS_BY_INDEX}; SET CONSTRAINTS ALL IMMEDIATE")
                _keep_journal(cursor, part.job, last, journal)
            transaction.set_rollback(True)
        work.rolled_back()
        with transaction.atomic(), connection.cursor() as cursor:
            journal.seek(0)
            cursor.copy_expert(RESTORE.format(**JOURNAL), journal)
            advance(part, work, batch)


def _keep_journal(cursor: Any, job: Job, last: int, journal: IO[bytes]) -> None:
    batch = _value(cursor, "SELECT pg_current_xact_id()::text::bigint")
    cursor.copy_expert(KEEP.format(**JOURNAL, job=job.pk, last=last, batch=batch), journal)


def _value(cursor: Any, sql: str) -> int:
    cursor.execute(sql.format(table=JobChange._meta.db_table))
    return int(cursor.fetchone()[0])


def _assigned_xid() -> str | None:
    """The id of the transaction; None while it has written nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id_if_assigned()::text")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


@contextmanager
def _transaction(job: Job) -> Iterator[None]:
    with journaled(job), connection.cursor() as cursor:
        cursor.execute(IDLE_TIMEOUT)
        yield
        cursor.execute(KEYS_BY_INDEX)


@contextmanager
def _undone_in_memory(part: JobPart, work: PlannedWork) -> Iterator[None]:
    """If the batch fails, restore the cursor, counters and progress in memory."""
    former, place = deepcopy((work.counts, work.skipped, part.job.progress)), dict(vars(part))
    try:
        yield
    except BaseException:
        vars(part).update(place)
        work.counts, work.skipped, part.job.progress = former
        work.rolled_back()
        raise

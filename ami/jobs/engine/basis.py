"""What a run consults besides the rows of its scope. It is fixed for all parts by planning.

:meth:`PlannedWork.consult` returns a mapping from the name of what was consulted, as a page shows
it, to its contents as JSON. It is read in one snapshot, stored with the Job, and used by each
worker that claims a part, even after the Job is resumed.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from ami.jobs.engine.faults import is_transient
from ami.jobs.engine.work import PlannedWork
from ami.jobs.models import Basis, Job
from ami.jobs.states import RUNNING, JobFailedError, PartState

ONE_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
CHANGED = "%s The run used what it was planned with."


def fix(work: PlannedWork) -> None:
    """Let `work` consult what it needs, in the form in which a worker finds it stored.

    Raises JobFailedError if a consulted row no longer exists.
    """
    work.basis = json.loads(_consult(work))


def store(job: Job, work: PlannedWork) -> None:
    """Store the basis of `work` with its Job; call this in the transaction that creates parts."""
    if not work.basis:
        return
    digest = _digest(_text(work.basis))
    basis = Basis(digest=digest, value=work.basis, used_at=timezone.now())
    # The upsert locks an existing row, so that it is not deleted before the Job refers to it.
    Basis.objects.bulk_create(
        [basis], update_conflicts=True, update_fields=["used_at"], unique_fields=["digest"]
    )
    Job.objects.filter(pk=job.pk).update(basis=basis)
    job.basis = basis


def take_up(job: Job, work: PlannedWork) -> None:
    """Give `work` the basis that its Job was planned with."""
    if basis := job.basis:
        work.basis = basis.value


def differences(former: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """How `present` differs from `former`, the basis of the plan, as sentences.

    Values that were added are not differences, because the run itself may have created them.
    """
    return [
        _sentence(name, then, present.get(name))
        for name, then in former.items()
        if not _is_as_then(then, present.get(name))
    ]


def note_changes(job: Job, work: PlannedWork) -> None:
    """After the last part, note on the Job what has changed since it was planned.

    Errors are logged, so that the Job can end.
    """
    if not job.basis_id or job.parts.exclude(state=PartState.DONE).exists():
        return
    try:
        present = _consult(work)
        is_same = _digest(present) == job.basis_id
        sentences = [] if is_same else differences(work.basis, json.loads(present))
    except JobFailedError as gone:
        sentences = [str(gone)]
    except Exception as fault:
        if is_transient(fault):
            raise
        job.logger.exception("The check whether the catalogue changed during the run failed.")
        return
    noted = Job.objects.filter(pk=job.pk, status__in=RUNNING).exclude(basis_changes=sentences)
    if noted.update(basis_changes=sentences) and sentences:
        job.logger.warning(CHANGED, " ".join(sentences))


def delete_unused(*, before: Any) -> int:
    """Delete rows without a Job that were last used before `before`; return how many."""
    named = Exists(Job.objects.filter(basis=OuterRef("pk")))
    return Basis.objects.filter(~named, used_at__lt=before).delete()[0]


def _consult(work: PlannedWork) -> str:
    with _one_snapshot():
        return _text(work.consult())


@contextmanager
def _one_snapshot() -> Iterator[None]:
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if is_outermost:  # it cannot be set in a transaction that has already read
            cursor.execute(ONE_SNAPSHOT)
        yield


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


def _is_as_then(then: Any, now: Any) -> bool:
    if isinstance(then, dict) and isinstance(now, dict):
        return all(key in now and now[key] == value for key, value in then.items())
    return then is None or then == now


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _sentence(name: str, then: Any, now: Any) -> str:
    if isinstance(then, list) and isinstance(now, list) and len(then) != len(now):
        return f"{name}: {len(then):,} entries when it was planned, {len(now):,} now."
    return f"{name}: changed since it was planned."

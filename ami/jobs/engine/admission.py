"""One writer per scope: of two Jobs that may write the same occurrences, the second waits.

A Job waits for admitted Jobs and for Jobs that waited before it. An admitted Job never waits. So
there are no deadlocks, and no Job waits forever.
"""

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from ami.base.registry import UnknownKeyError
from ami.jobs import transitions
from ami.jobs.engine.registry import JOB_TYPES
from ami.jobs.engine.work import Work
from ami.jobs.models import Job, JobPart
from ami.jobs.states import RUNNING, JobFailedError, JobState
from ami.main.models import Detection

# One Job is admitted at a time, so that two Jobs never admit each other at the same moment.
LOCK = "SELECT pg_advisory_xact_lock(hashtext('ami.jobs.engine.admission'))"

# Compare units: an occurrence by its id, a detection without an occurrence by its negative id.
OVERLAP = """
SELECT EXISTS (
    SELECT FROM ({mine}) a JOIN ({theirs}) b
    ON COALESCE(a.occurrence_id, -a.id) = COALESCE(b.occurrence_id, -b.id)
)
"""


def admit(part: JobPart, work: Work) -> bool:
    """Allow the Job of a held part to write; if it has to wait, queue it and return False.

    Raises JobStoppedError, and ClaimLostError if another worker holds the part.
    """
    job = part.job
    if job.admitted_at:
        return True
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCK)
        blocker = _blocker(job, work.touched())
        transitions.admit(part, blocker)
    if blocker:
        job.logger.info("Waits for Job %d.", blocker.pk)
        if Job.objects.filter(pk=blocker.pk, admitted_at=None, waits_for=None).exists():
            # It has ended in the meantime and may have missed this Job.
            transitions.wake(job, blocker)
    return blocker is None


def _blocker(job: Job, touched: QuerySet[Detection]) -> Job | None:
    admitted = Q(status__in=RUNNING, admitted_at__isnull=False)
    # A Job that was woken and is about to be admitted keeps its place in the queue.
    waiting = Q(status__in=(JobState.PENDING, JobState.STARTED), waits_for__isnull=False)
    ahead = waiting & Q(pk__lt=job.pk)
    for other in Job.objects.filter(admitted | ahead).exclude(pk=job.pk).order_by("pk"):
        if _overlap(touched, _touched_by(other)):
            return other
    return None


def _touched_by(job: Job) -> QuerySet[Detection]:
    try:
        return JOB_TYPES[job.job_type_key](job).touched()
    except (JobFailedError, UnknownKeyError):
        return Detection.objects.none()


def _overlap(mine: QuerySet[Detection], theirs: QuerySet[Detection]) -> bool:
    if mine.query.is_empty() or theirs.query.is_empty():
        return False
    queries = [
        rows.order_by().values("id", "occurrence_id").query.sql_with_params()
        for rows in (mine, theirs)
    ]
    sql = OVERLAP.format(mine=queries[0][0], theirs=queries[1][0])
    with connection.cursor() as cursor:
        cursor.execute(sql, [*queries[0][1], *queries[1][1]])
        return bool(cursor.fetchone()[0])

"""The foreign keys of the rows that a batch writes are checked through indexes."""

from typing import Any

import pytest
from django.db import connection

from ami.jobs.tests.job_types import make_job
from ami.main.models import Classification
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import make_scope

SCANS = "SELECT pg_stat_force_next_flush(), pg_stat_get_numscans('ml_algorithm'::regclass)"


def full_scans() -> int:
    """How often the table of algorithms was read from its start so far."""
    with connection.cursor() as cursor:
        cursor.execute(SCANS)  # reports the scans of this session when it ends
        cursor.execute(SCANS)
        return int(cursor.fetchone()[1])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("dry_run", [False, True])
def test_checks_do_not_read_small_tables_for_each_row(dry_run: bool) -> None:
    scope = make_scope(*[1] * 64)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.close()  # a session keeps its plans of the checks
    former, rows = full_scans(), Classification.objects.count()

    job = make_job(dry_run=dry_run)
    options: dict[str, Any] = {"source_image_collection_id": scope.pk, "size_threshold": 0.99}
    SmallSizeFilterTask(job=job, **options).run()

    assert job.changes.filter(kind="created", model="main.classification").count() == 64
    assert Classification.objects.count() == rows + (0 if dry_run else 64)
    assert full_scans() - former < 32

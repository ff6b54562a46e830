"""Imported by workers that tests kill: small batches, and moments at which to kill them."""

import os
from typing import Any

from celery.signals import task_postrun
from django.db import connection
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from ami.jobs import tasks
from ami.jobs.engine import heart
from ami.jobs.journal import undo
from ami.jobs.tests.chaos import NAME
from ami.jobs.watch import vitals
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import MergingTask

SmallSizeFilterTask.batch_size = undo.BATCH_SIZE = MergingTask.batch_size
register(MergingTask)
# A worker that is killed counts as gone after 3 seconds, and its run without parts after one.
vitals.ALIVE_SECONDS = 3
heart.BEAT_SECONDS, heart.SILENT_SECONDS, tasks.AGAIN_SECONDS = 0.2, 1.0, 1


@receiver(connection_created)
def tell_which_process(connection: Any, **kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET application_name = '{NAME}{os.getpid()}'")


# The message of a task is acknowledged after this.
@task_postrun.connect
def linger(**kwargs: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.04) AS before_ack")

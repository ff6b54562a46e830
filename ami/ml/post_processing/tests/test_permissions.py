import pytest
from django.contrib.auth.models import Permission
from django.core.management.sql import emit_post_migrate_signal

from ami.ml.post_processing.registry import POSTPROCESSING_TASKS

pytestmark = pytest.mark.django_db


def test_flush_creates_the_permissions_of_methods_again() -> None:
    runs = Permission.objects.filter(codename__startswith="run_")
    runs.delete()
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    assert {run.codename.removeprefix("run_") for run in runs} == set(POSTPROCESSING_TASKS)

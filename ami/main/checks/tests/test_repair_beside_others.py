"""Repairs of rows that another transaction writes at the same time."""

import pytest
from django.db import transaction

from ami.base.tests.factories import make_capture, make_classification, make_project
from ami.main.checks import IntegrityCheckResult, reconcile_missing_determinations
from ami.main.checks.declarations import CHECKS
from ami.main.checks.duplicate_classification import reconcile_duplicate_classifications
from ami.main.checks.tests.repairing import another_fix, repair
from ami.main.checks.tests.test_batches import make_undetermined
from ami.main.checks.tests.world import execute
from ami.main.checks.wrong_project import _follow_deployment
from ami.main.models import Classification, SourceImage
from ami.main.tests.test_determination_locks import (
    run_in_thread,
    wait_until_someone_waits_for_a_lock,
)

# A rollback does not reset a sequence.
CLASH = """
CREATE SEQUENCE clashes;
CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('clashes') <= {times} THEN
        RAISE SQLSTATE '{code}' USING MESSAGE = 'It clashes.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER clash BEFORE UPDATE ON main_occurrence FOR EACH ROW EXECUTE FUNCTION clash()
"""
DEADLOCK, SERIALIZATION = "40P01", "40001"


@pytest.mark.django_db
@pytest.mark.parametrize("code", [DEADLOCK, SERIALIZATION])
def test_row_that_others_were_in_the_way_of_is_repaired(code: str) -> None:
    make_undetermined(1)
    execute(CLASH.format(times=2, code=code))

    assert reconcile_missing_determinations(dry_run=False) == IntegrityCheckResult(1, fixed=1)


@pytest.mark.django_db(transaction=True)
def test_copy_stays_where_a_person_deletes_the_other_one_meanwhile() -> None:
    earlier = make_classification()
    later = Classification.objects.get(pk=earlier.pk)
    later.pk = None
    later.save(force_insert=True)

    with transaction.atomic():
        earlier.delete()
        thread = run_in_thread(lambda: reconcile_duplicate_classifications(dry_run=False))
        wait_until_someone_waits_for_a_lock()
    thread.join()

    assert Classification.objects.get() == later


@pytest.mark.django_db
def test_capture_that_a_person_puts_right_meanwhile_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = make_project()
    capture = make_capture()
    SourceImage.objects.filter(pk=capture.pk).update(project=make_project())

    def meanwhile(ids: list[int]) -> None:
        SourceImage.objects.filter(pk=capture.pk).update(project=other, deployment=None)
        _follow_deployment(ids)

    with another_fix(monkeypatch, "wrong_project", meanwhile):
        repair([CHECKS["wrong_project"]])

    capture.refresh_from_db()
    assert capture.project == other

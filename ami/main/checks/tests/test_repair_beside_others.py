"""Repairs of rows that somebody else writes at the same time."""

import pytest

from ami.main.checks import IntegrityCheckResult, reconcile_missing_determinations
from ami.main.checks.tests.test_batches import make_undetermined
from ami.main.checks.tests.world import execute

# A sequence keeps what it has counted where the transaction is rolled back.
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
    execute(CLASH.format(times=4, code=code))

    assert reconcile_missing_determinations(dry_run=False) == IntegrityCheckResult(1, fixed=1)


@pytest.mark.django_db
def test_row_that_clashes_each_time_is_unfixable() -> None:
    (pk,) = make_undetermined(1)
    execute(CLASH.format(times=1_000, code=DEADLOCK))

    done = reconcile_missing_determinations(dry_run=False)

    assert (done.fixed, done.reasons) == (0, {pk: "It clashes."})

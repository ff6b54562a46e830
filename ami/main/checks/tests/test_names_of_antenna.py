"""Names of the checks that code written for Antenna imports."""

import ami.main.checks
from ami.main.checks import missing_determination, occurrences, schemas
from ami.main.tasks import check_data_integrity


def test_names_are_where_antenna_has_them() -> None:
    assert ami.main.checks.IntegrityCheckResult is schemas.IntegrityCheckResult
    for name in ("get_occurrences_missing_determination", "reconcile_missing_determinations"):
        assert getattr(occurrences, name) is getattr(missing_determination, name)
        assert getattr(ami.main.checks, name) is getattr(missing_determination, name)
    assert check_data_integrity.name == "ami.main.tasks.check_data_integrity"

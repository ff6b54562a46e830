"""The history of runs, and the acknowledgements of their findings."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ami.base.tests.factories import make_occurrence
from ami.integrity.finding import Scope
from ami.integrity.history import prune_history
from ami.integrity.models import (
    IntegrityAcknowledgement,
    IntegrityResult,
    IntegrityRun,
    IntegrityStatus,
)
from ami.integrity.runner import run_checks
from ami.main.checks.declarations import CHECKS, Check
from ami.main.checks.tests.faults.captures import corners_swapped, of_another_project
from ami.main.checks.tests.world import FAULTS, World, make_world

EMPTY = CHECKS["occurrence_without_detections"]
BOX = CHECKS["invalid_box"]


def only(check: Check, **options: Any) -> IntegrityResult:
    return run_checks([check], **options).results.get()


@pytest.mark.django_db
class TestAcknowledgement:
    def acknowledge(self, *, days: int = 0, **fields: Any) -> None:
        IntegrityAcknowledgement.objects.create(
            **{
                "key": EMPTY.key,
                "reason": "Known.",
                "expires_on": timezone.localdate() + timedelta(days=days),
                **fields,
            }
        )

    def test_known_failure_is_counted_and_does_not_fail(self) -> None:
        make_occurrence()
        self.acknowledge()

        result = only(EMPTY)

        assert (result.remaining, result.acknowledged) == (1, 1)
        assert result.status == IntegrityStatus.ACKNOWLEDGED

    def test_expired_acknowledgement_says_nothing(self) -> None:
        make_occurrence()
        self.acknowledge(days=-1)

        assert only(EMPTY).status == IntegrityStatus.FOUND

    def test_of_one_project_it_covers_the_rows_of_that_project(self) -> None:
        known, unknown = make_occurrence(), make_occurrence()
        self.acknowledge(project=known.project)

        everywhere = only(EMPTY)
        assert (everywhere.remaining, everywhere.acknowledged) == (2, 1)
        assert everywhere.status == IntegrityStatus.FOUND
        assert only(EMPTY, scope=Scope(known.project_id)).status == IntegrityStatus.ACKNOWLEDGED
        assert only(EMPTY, scope=Scope(unknown.project_id)).status == IntegrityStatus.FOUND

    def test_row_of_two_projects_is_known_once(self) -> None:
        """A finding in a third project is not acknowledged."""
        shared, alone = make_world(), make_world()
        of_another_project(shared)
        of_another_project(alone)
        pair = CHECKS["wrong_project"].pairs[0]
        row = pair.get(shared.project.pk, None).get()
        for project in (shared.project, row.project):
            self.acknowledge(key="wrong_project", project=project)

        result = only(CHECKS["wrong_project"])

        assert (result.remaining, result.acknowledged) == (2, 1)
        assert result.status == IntegrityStatus.FOUND

    @pytest.mark.parametrize("key", sorted(CHECKS))
    def test_every_check_counts_what_is_known(self, key: str, world: World, other: World) -> None:
        for one in (world, other):
            FAULTS[key][0](one)
        self.acknowledge(key=key, project=world.project)

        result = only(CHECKS[key])

        assert (result.error, result.status) == ("", IntegrityStatus.FOUND)
        assert 0 < result.acknowledged < result.remaining

    def test_of_another_check_it_says_nothing(self) -> None:
        corners_swapped(make_world())
        self.acknowledge()

        assert only(BOX).status == IntegrityStatus.FOUND

    def test_clean_check_needs_none(self) -> None:
        self.acknowledge()

        assert only(EMPTY).status == IntegrityStatus.CLEAN


@pytest.mark.django_db
def test_runs_are_pruned_in_chunks_after_ninety_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.integrity.history.RUNS_AT_ONCE", 2)
    kept, *old = (run_checks([EMPTY]) for _ in range(6))
    for run, days in [(kept, 89), *((run, 91) for run in old)]:
        IntegrityRun.objects.filter(pk=run.pk).update(
            created_at=timezone.now() - timedelta(days=days)
        )

    assert prune_history() == 5

    assert list(IntegrityRun.objects.all()) == [kept]
    assert list(IntegrityResult.objects.values_list("run", flat=True)) == [kept.pk]


@pytest.mark.django_db
def test_run_prunes_what_is_old() -> None:
    old = run_checks([EMPTY])
    IntegrityRun.objects.update(created_at=timezone.now() - timedelta(days=100))

    new = run_checks([EMPTY])

    assert list(IntegrityRun.objects.all()) == [new]
    assert old.pk != new.pk

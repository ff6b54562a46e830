import pytest

from ami.base.tests.factories import make_user
from ami.base.tests.snapshots import snapshot
from ami.integrity.finding import EVERYTHING
from ami.integrity.models import IntegrityAcknowledgement, IntegrityRun
from ami.integrity.service import new_repair
from ami.integrity.tests.commands import run, run_json
from ami.jobs.engine.runner import run as run_job
from ami.jobs.journal.revert import request_revert
from ami.jobs.models import Job, JobState
from ami.jobs.service import create_jobs
from ami.main.checks.declarations import CHECKS, chosen_checks
from ami.main.checks.tests.faults.captures import corners_swapped
from ami.main.checks.tests.faults.classifications import saved_twice
from ami.main.checks.tests.faults.counts import everything_counted_wrong
from ami.main.checks.tests.faults.occurrences import (
    classified_alone,
    classified_and_undetermined,
    left_empty,
)
from ami.main.checks.tests.repairing import another_fix
from ami.main.checks.tests.test_batches import make_undetermined, poison
from ami.main.checks.tests.world import TABLES, World, make_world
from ami.main.counts import refresh_counts
from ami.testing.records import rows


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.mark.django_db
class TestReport:
    def test_clean_rows_exit_0(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = run(capsys)

        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert len(lines) == len(CHECKS) + 1
        assert lines[-1] == f"Clean: {len(CHECKS)} checks found nothing."

    def test_findings_exit_1_and_name_the_rows(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        corners_swapped(world)

        code, out, _ = run(capsys)

        assert code == 1
        assert "invalid_box" in out
        assert f"main.detection: {world.detections[0].pk}" in out
        assert out.splitlines()[-1] == f"Remaining: 1 error, 0 warnings, from {len(CHECKS)} checks."

    def test_report_ends_with_the_command_that_repairs(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        corners_swapped(world)
        classified_and_undetermined(world)
        refresh_counts()

        _, out, _ = run(capsys, f"--project={world.project.pk}")

        said, _, command = out.splitlines()[-1].partition(": ")
        assert said == "To repair these rows, run"
        assert command == (
            "manage.py check_data_integrity --no-dry-run "
            f"--project {world.project.pk} --check occurrence_without_detections "
            "--check missing_determination"
        )
        _, out, _ = run(capsys, *command.split()[2:])
        assert f"Repair of project {world.project.pk}: 2 repaired." in out
        assert "To repair these rows" not in run(capsys)[1]

    def test_report_writes_nothing(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        classified_and_undetermined(world)
        before = snapshot(*TABLES)

        run(capsys)
        run(capsys, "--dry-run")

        assert snapshot(*TABLES) == before
        assert not Job.objects.exclude(pk=world.job.pk).exists()

    def test_warning_exits_1_only_at_its_fail_level(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        left_empty(world)

        assert run(capsys)[0] == 0
        assert run(capsys, "--fail-level", "error")[0] == 0
        assert run(capsys, "--fail-level", "warning")[0] == 1
        assert "Remaining: 0 errors, 2 warnings" in run(capsys)[1]

    def test_acknowledged_finding_does_not_fail(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        corners_swapped(world)
        IntegrityAcknowledgement.objects.create(
            key="invalid_box", reason="Known.", expires_on="9999-01-01"
        )

        code, out, _ = run(capsys)

        assert code == 0
        assert "1 found, 1 acknowledged, 1 remain" in out

    def test_check_that_could_not_run_exits_2(
        self, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        corners_swapped(world)
        monkeypatch.setattr("ami.main.checks.taxon_loop.loop_members", lambda *args: "nonsense")

        code, out, _ = run(capsys)

        assert code == 2
        assert 'ProgrammingError: column "nonsense"' in out
        assert "1 found, 1 remain" in out
        assert out.splitlines()[-1] == f"1 of {len(CHECKS)} checks could not run."

    def test_project_and_job_cut_the_report(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = make_world()
        classified_and_undetermined(world)

        assert run(capsys, "--project", str(other.project.pk))[0] == 0
        assert run(capsys, "--job", str(other.job.pk))[0] == 0
        assert run(capsys, "--project", str(world.project.pk))[0] == 1
        assert run(capsys, f"--job={world.job.pk}", f"--project={world.project.pk}")[0] == 1

    def test_checks_are_chosen_by_key_and_by_tag(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = run_json(
            capsys, "--check", "taxon_loop", "--check", "invalid_box", "--tag", "determinations"
        )

        assert [check["key"] for check in told["checks"]] == [
            "taxon_loop",
            "invalid_box",
            "missing_determination",
            "stale_determination",
            "stale_score",
        ]

    def test_samples_are_as_many_as_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        ids = make_undetermined(12)
        only = ("--check", "missing_determination")

        assert run_json(capsys, *only)["checks"][0]["samples"] == {"main.occurrence": ids[:10]}
        three = run(capsys, *only, "--samples", "3")[1]
        assert f"{ids[0]}, {ids[1]}, {ids[2]}, …" in three
        assert "main.occurrence" not in run(capsys, *only, "--samples", "0")[1]

    def test_list_shows_every_check_without_running_any(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = run(capsys, "--list")
        told = run_json(capsys, "--list")

        assert code == 0
        assert len(out.splitlines()) == len(told["checks"]) == len(CHECKS)
        assert not IntegrityRun.objects.exists()


@pytest.mark.django_db
class TestRepair:
    def test_what_is_repaired_is_told(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        classified_and_undetermined(world)

        code, out, _ = run(capsys, "--no-dry-run", "--check", "missing_determination")

        assert code == 0
        assert "1 found, 1 repaired, 0 remain" in out
        assert out.splitlines()[-1] == "Clean: 1 check found nothing that remains."

    def test_poisoned_row_exits_1_with_its_reason(self, capsys: pytest.CaptureFixture[str]) -> None:
        ids = make_undetermined(20)
        poison(ids[7])

        told = run_json(capsys, "--no-dry-run", "--check", "missing_determination")

        assert told["exit_code"] == 1
        (check,) = told["checks"]
        assert (check["found"], check["fixed"], check["unfixable"]) == (20, 19, 1)
        assert check["reasons"] == [
            {"model": "main.occurrence", "id": ids[7], "reason": f"Row {ids[7]} is poisoned."}
        ]

    def test_repair_of_nothing_says_so_and_names_no_journal(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        project = f"--project={world.project.pk}"

        _, out, _ = run(capsys, "--no-dry-run", project, f"--job={world.job.pk}")

        assert f"Repair of project {world.project.pk}, Job {world.job.pk}: 0 repaired." in out
        assert "journal" not in out

    def test_journal_is_named_only_where_it_holds_something(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        everything_counted_wrong(world)
        _, out, _ = run(capsys, "--no-dry-run", "--check=stale_counts")
        assert "Repair of everything: 3 repaired.\n" in out

        classified_and_undetermined(world)
        _, out, _ = run(capsys, "--no-dry-run", "--check=missing_determination")
        job = Job.objects.latest("pk")
        said = f"1 repaired. The changes are in the journal of Job {job.pk}.\n"
        assert f"Repair of everything: {said}" in out
        assert job.changes.exists()

    def test_repair_is_a_job_that_can_be_reverted(self, capsys: pytest.CaptureFixture[str]) -> None:
        world = make_world()
        for make in (classified_and_undetermined, classified_alone, saved_twice):
            make(world)
        before = rows()

        told = run_json(
            capsys,
            "--no-dry-run",
            "--tag",
            "occurrences",
            "--tag",
            "classifications",
            "--tag",
            "determinations",
        )

        job = Job.objects.get(pk=told["repair_job"])
        assert job.status == JobState.SUCCESS
        assert set(job.changes.values_list("kind", flat=True)) == {"created", "changed", "deleted"}
        assert rows() != before
        revert = request_revert(job, user=make_user())
        run_job(revert.pk)
        revert.refresh_from_db()
        assert revert.status == JobState.SUCCESS
        assert rows() == before

    def test_second_repair_says_that_another_one_runs(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        classified_and_undetermined(world)
        other = create_jobs([new_repair(chosen_checks(), scope=EVERYTHING)])[0]
        Job.objects.filter(pk=other.pk).update(
            status=JobState.STARTED, admitted_at=other.created_at
        )

        code, out, err = run(capsys, "--no-dry-run")

        assert (code, out) == (2, "")
        assert err.strip().removeprefix("CommandError: ") == (
            f"Nothing was repaired. Wait for Job {other.pk} (Repair of integrity faults), "
            "which may write the same occurrences."
        )
        assert Job.objects.latest("pk").status == JobState.REVOKED
        assert not IntegrityRun.objects.exists()

    def test_canceled_repair_ends_the_run(
        self, world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        classified_and_undetermined(world)

        def cancel(ids: list[int]) -> None:
            Job.objects.latest("pk").cancel()

        with another_fix(monkeypatch, "missing_determination", cancel):
            told = run_json(capsys, "--no-dry-run")

        assert told["exit_code"] == 2
        assert told["error"] == "Stopped; repaired rows stay repaired."
        assert Job.objects.latest("pk").status == JobState.REVOKED

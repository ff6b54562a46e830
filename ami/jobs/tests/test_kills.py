"""Whatever is killed while a Job runs: it ends as if nothing had been.

Each run is on a copy of one database, and compared with an undisturbed one, table by table.
`CHAOS_KILLS` says how often a run's workers are killed: once in each way unless it says so, and
50 times or more for the long version. `CHAOS_SEED` repeats a sequence of moves.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import randrange
from typing import Any, TypeAlias

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from ami.integrity.finding import EVERYTHING
from ami.integrity.service import new_repair
from ami.jobs.journal.revert import request_revert
from ami.jobs.states import Outcome, PartState
from ami.jobs.tests.chaos import SLOW_MOMENTS, Site
from ami.jobs.tests.queues import messages_in_hand
from ami.jobs.tests.trials import Trial, make_night
from ami.jobs.transitions import carrier
from ami.main.checks.declarations import chosen_checks
from ami.main.models import Occurrence
from config.tests.processes import wait_until
from config.tests.tally import note

KILLS = int(os.environ.get("CHAOS_KILLS", "3"))
SEED = int(os.environ.get("CHAOS_SEED") or randrange(10**6))
LONG = KILLS >= 50
ROUNDS = 3 if LONG else 1
METHODS = ("small_size_filter", "merging") if LONG else ("merging",)
RUNS = [(method, dry_run) for method in METHODS for dry_run in (False, True)[: 1 + LONG]]
REVERTED = ("main_classification", "main_detection", "main_identification", "main_occurrence")
UNTOUCHED = "untouched"
MOMENTS = ("at any time", "in a batch", "in a commit", "between commit and ack")

pytestmark = [pytest.mark.chaos] if LONG else [pytest.mark.first]
Compare: TypeAlias = Callable[..., None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), seed=SEED)
    try:
        with django_db_blocker.unblock():
            site.start()
            site.copy_database("template1", UNTOUCHED)
            with site.connected(UNTOUCHED):
                call_command("migrate", verbosity=0)
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(SLOW_MOMENTS)
                    make_night(occurrences=max(44, 4 * KILLS))
            yield site
    finally:
        site.end()


@contextmanager
def trial(site: Site, method: str, *, dry_run: bool = False) -> Iterator[Trial]:
    print(f"CHAOS_SEED={SEED}")  # noqa: T201 -- shown where the test fails
    site.flush_redis()
    site.copy_database(UNTOUCHED, "copy")
    try:
        with site.connected("copy"):
            yield Trial(site, method, dry_run=dry_run)
    finally:
        site.kill_workers()


@pytest.fixture(scope="module")
def like_undisturbed(site: Site) -> Compare:
    """Compare the results of a Job with those of an undisturbed one."""
    undisturbed: dict[tuple[str, bool], dict[str, Any]] = {}

    def compare(found: dict[str, Any], method: str, *, dry_run: bool = False) -> None:
        if (method, dry_run) not in undisturbed:
            with trial(site, method, dry_run=dry_run) as calm:
                calm.begin()
                undisturbed[method, dry_run] = calm.result()
        expected = undisturbed[method, dry_run]
        assert len(expected["parts"]) > 3
        assert len(expected["journal"]) > 10
        assert found.keys() == expected.keys()
        for table, rows in expected.items():
            assert found[table] == rows, table

    return compare


def kill_again_and_again(attempt: Trial, *, moments: Sequence[str] = MOMENTS) -> None:
    """Kill the whole worker and one of its processes alternately, at moments throughout the run.

    The message of a single process is delivered again automatically.
    """
    site, random = attempt.site, attempt.site.random
    early = [0, 0] if LONG else []
    # Enough is left after the last of them for the moment to be seen.
    shares = sorted(random.uniform(0.05, 0.85) for _ in range(KILLS - 1 - len(early)))
    for number, share in enumerate([*early, *shares, 1]):
        if 0 < share < 1:
            attempt.reach_share(share)
        moment = "ending the Job" if share == 1 else random.choice(moments)
        pid = attempt.process_that_is(moment)
        if number % 2:
            os.kill(pid, signal.SIGKILL)
            note("killed one process of a worker")
        else:
            site.kill_workers()
            note("killed a whole worker")
            site.return_messages()
            attempt.heal()
            site.start_worker()


@pytest.mark.parametrize(("method", "dry_run"), RUNS)
def test_killed_workers(site: Site, method: str, dry_run: bool, like_undisturbed: Compare) -> None:
    with trial(site, method, dry_run=dry_run) as attempt:
        attempt.begin()
        kill_again_and_again(attempt)
        found = attempt.result()
    like_undisturbed(found, method, dry_run=dry_run)


def test_ticks_alone_bring_back_what_a_killed_worker_had_in_hand(
    site: Site, like_undisturbed: Compare
) -> None:
    """No worker counts as silent, and Redis uses its normal visibility timeout."""
    with trial(site, "merging") as attempt:
        attempt.begin()
        for number in range(1, ROUNDS + 1):
            attempt.reach_share(number / (ROUNDS + 1))
            site.process_that_is(site.random.choice(MOMENTS))
            site.kill_workers()
            note("killed a whole worker")
            site.start_worker()
            wait_until(partial(attempt.goes_on_by_ticks, beyond=attempt.rows_done()), seconds=60)
        wait_until(attempt.tick, seconds=60)
        found = attempt.result()
    like_undisturbed(found, "merging")


@pytest.mark.parametrize("method", METHODS)
def test_killed_workers_of_a_revert(site: Site, method: str) -> None:
    with trial(site, method) as attempt:
        former = attempt.likeness().tables()
        attempt.begin()
        attempt.result()
        attempt.job = request_revert(attempt.job)
        kill_again_and_again(attempt, moments=MOMENTS[:3])  # it is one part, acknowledged once
        found = attempt.result()
    for table in REVERTED:
        assert found[table] == former[table]


def break_midway(attempt: Trial, share: float, disrupt: Callable[[], object]) -> None:
    """Disrupt a run when this share of its rows is done, and bring it to its end."""
    attempt.begin()
    attempt.reach_share(share)
    attempt.site.process_that_is(attempt.site.random.choice(MOMENTS))
    disrupt()
    attempt.heal()


@pytest.mark.parametrize("share", [n / (ROUNDS + 1) for n in range(1, ROUNDS + 1)])
def test_redis_that_is_lost(site: Site, share: float, like_undisturbed: Compare) -> None:
    with trial(site, "merging") as attempt:
        break_midway(attempt, share, site.lose_redis)
        found = attempt.result()
    like_undisturbed(found, "merging")


@pytest.mark.parametrize("share", [n / (ROUNDS + 1) for n in range(1, ROUNDS + 1)])
def test_postgres_that_crashes(site: Site, share: float, like_undisturbed: Compare) -> None:
    with trial(site, "merging") as attempt:
        break_midway(attempt, share, site.restart_postgres)
        found = attempt.result()
    like_undisturbed(found, "merging")


def test_commits_whose_answer_is_lost(site: Site, like_undisturbed: Compare) -> None:
    with trial(site, "merging") as attempt:
        site.make_durable()
        attempt.begin()
        for number in range(2 * ROUNDS):
            attempt.reach_share(number / (2 * ROUNDS))
            site.lose_the_answer_to_a_commit()
        found = attempt.result()
    like_undisturbed(found, "merging")


@pytest.mark.parametrize("kind", ["a part", "a repair, which has none"])
def test_three_lost_workers_end_the_job_with_the_reason(site: Site, kind: str) -> None:
    """Each is killed while it waits for a row that stays locked."""
    with trial(site, "merging") as attempt:
        if kind == "a repair, which has none":
            Occurrence.objects.update(determination=None)
            attempt.job = new_repair(chosen_checks(), scope=EVERYTHING)
            attempt.job.task_id = "first"
            attempt.job.save()
            carrier(attempt.job)

        def is_worn_out() -> bool:
            site.kill_what_waits()
            return attempt.has_ended()

        row = Occurrence.objects.earliest("pk").pk
        with transaction.atomic():
            Occurrence.objects.select_for_update().get(pk=row)
            attempt.begin()
            wait_until(is_worn_out, seconds=90)
    assert attempt.job.outcome == Outcome.FAILED
    # The worker that was to say so may have been killed, too.
    assert re.search("was started [34] times and never reached", attempt.job.error)


def test_workers_that_are_stopped(site: Site, like_undisturbed: Compare) -> None:
    with trial(site, "merging") as attempt:
        attempt.begin()
        stops = 6 if LONG else 1
        for number in range(stops):
            attempt.reach_share(number / stops)
            site.process_that_is(site.random.choice(MOMENTS))
            assert site.workers[-1].stop() == 0
            note("stopped a worker")
            site.start_worker()
        found = attempt.result()
    like_undisturbed(found, "merging")


def test_two_workers_given_the_same_parts(site: Site, like_undisturbed: Compare) -> None:
    with trial(site, "merging") as attempt:
        attempt.begin()
        attempt.reach_share(0)
        assert site.workers[-1].stop() == 0
        site.flush_redis()
        for part in attempt.job.parts.exclude(state=PartState.DONE).order_by("number"):
            part.publish()
            part.publish()
        workers = [site.start_worker(), site.start_worker()]
        note("gave two workers the same parts")
        found = attempt.result()
        assert any("is held by another worker" in worker.log.read_text() for worker in workers)
    like_undisturbed(found, "merging")


def test_process_that_is_suspended_between_two_messages(
    site: Site, like_undisturbed: Compare
) -> None:
    """Its worker answers and gives it a message, which counts as taken and is never begun."""
    with trial(site, "merging") as attempt:
        attempt.begin()
        attempt.reach_share(0.2)
        attempt.job.pause()
        wait_until(lambda: not messages_in_hand())
        zombie = site.random.choice(site.workers[-1].children())
        os.kill(zombie, signal.SIGSTOP)
        attempt.job.resume()
        wait_until(attempt.tick, seconds=60)
        os.kill(zombie, signal.SIGCONT)
        note("suspended an idle process")
        found = attempt.result()
        assert attempt.job.logs.filter(message__contains="was sent again").exists()
    like_undisturbed(found, "merging")


@pytest.mark.parametrize("moment", MOMENTS * ROUNDS if LONG else MOMENTS[1:2])
def test_zombie_that_wakes(site: Site, moment: str, like_undisturbed: Compare) -> None:
    with trial(site, "merging") as attempt:
        attempt.begin()
        attempt.reach_share(site.random.uniform(0, 0.9))
        zombie = site.process_that_is(moment)
        os.kill(zombie, signal.SIGSTOP)
        site.start_worker()
        attempt.heal()

        def is_replaced() -> bool:
            attempt.tick()
            return attempt.has_ended() or bool(site.processes("waiting for a lock"))

        wait_until(is_replaced)
        os.kill(zombie, signal.SIGCONT)
        note("woke a process that another had replaced")
        found = attempt.result()
    like_undisturbed(found, "merging")

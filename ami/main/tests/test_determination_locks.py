import threading
from collections.abc import Callable

import pytest
from django.db import close_old_connections, connection, transaction
from django.test import Client

from ami.base.tests.factories import make_occurrence, make_taxon, make_user
from ami.main.determinations import update_determinations
from ami.main.models import Identification, Occurrence
from ami.main.tests.determining import classify, identify


def run_in_thread(work: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        close_old_connections()
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until_someone_waits_for_a_lock() -> None:
    """Poll PostgreSQL until another session waits for a lock of this one."""
    with connection.cursor() as cursor:
        for _ in range(100_000):
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if cursor.fetchone() != (0,):
                return
    raise AssertionError("Nobody waited for the lock.")


@pytest.mark.django_db(transaction=True)
def test_identification_committed_while_waiting_for_the_lock_is_seen() -> None:
    occurrence, person = make_occurrence(), make_taxon()
    classify(occurrence, make_taxon())

    with transaction.atomic():
        identify(occurrence, person)
        update_determinations([occurrence.pk])  # holds the lock from here
        thread = run_in_thread(lambda: update_determinations([occurrence.pk]))
        wait_until_someone_waits_for_a_lock()
        classify(occurrence, make_taxon(), score=1.0)
    thread.join()

    occurrence.refresh_from_db()
    assert (occurrence.determination, occurrence.determination_score) == (person, 1.0)


@pytest.mark.django_db(transaction=True)
def test_identification_added_before_the_lock_is_released_decides() -> None:
    occurrence, person = make_occurrence(), make_taxon()
    classify(occurrence, make_taxon())

    with transaction.atomic():
        update_determinations([occurrence.pk])
        thread = run_in_thread(lambda: update_determinations([occurrence.pk]))
        wait_until_someone_waits_for_a_lock()
        identify(occurrence, person)
    thread.join()

    occurrence.refresh_from_db()
    assert occurrence.determination == person


@pytest.mark.django_db(transaction=True)
def test_person_is_told_that_the_occurrence_was_merged_away_meanwhile(client: Client) -> None:
    occurrence, taxon = make_occurrence(), make_taxon()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    url = "/admin/main/identification/add/"
    pages: list[str] = []

    def identify_it() -> None:
        pages.append(client.post(url, {"occurrence": occurrence.pk, "taxon": taxon.pk}).text)

    with transaction.atomic():
        Occurrence.objects.filter(pk=occurrence.pk).delete()
        thread = run_in_thread(identify_it)
        wait_until_someone_waits_for_a_lock()
    thread.join()

    assert f"Occurrence {occurrence.pk} was deleted or merged into another" in pages[0]
    assert not Identification.objects.exists()

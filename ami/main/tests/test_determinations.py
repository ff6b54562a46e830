import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import (
    NIGHT,
    make_capture,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
)
from ami.main.determinations import (
    DeterminationChange,
    update_determinations,
    update_occurrence_determination,
)
from ami.main.models import Classification, Detection, Identification, Occurrence, Taxon, TaxonRank


def classify(occurrence: Occurrence, taxon: Taxon | None, **fields: Any) -> Classification:
    """A classification of a new detection of the occurrence."""
    row = make_classification(
        detection=make_detection(occurrence=occurrence), **{"timestamp": NIGHT} | fields
    )
    if taxon != row.taxon:
        Classification.objects.filter(pk=row.pk).update(taxon=taxon)
    return row


def identify(occurrence: Occurrence, taxon: Taxon | None, **fields: Any) -> Identification:
    """An identification whose saving has not yet determined the occurrence."""
    row = Identification(occurrence=occurrence, taxon=taxon, **fields)
    return Identification.objects.bulk_create([row])[0]


def decide(occurrence: Occurrence) -> tuple[Taxon | None, float | None]:
    update_determinations([occurrence.pk])
    occurrence.refresh_from_db()
    return occurrence.determination, occurrence.determination_score


def not_identifiable() -> Taxon:
    return make_taxon(name="Not identifiable", rank=TaxonRank.UNKNOWN, identifiable=False)


@pytest.mark.django_db
class TestRule:
    def test_person_wins_over_every_classification(self) -> None:
        occurrence, taxon = make_occurrence(), make_taxon()
        classify(occurrence, make_taxon(), score=1.0)
        identify(occurrence, taxon)

        assert decide(occurrence) == (taxon, 1.0)

    def test_latest_person_wins(self) -> None:
        occurrence, earlier, later = make_occurrence(), make_taxon(), make_taxon()
        identify(occurrence, later)
        old = identify(occurrence, earlier)
        Identification.objects.filter(pk=old.pk).update(created_at=NIGHT)

        assert decide(occurrence) == (later, 1.0)

    def test_of_two_persons_at_one_time_the_higher_id_wins(self) -> None:
        occurrence, first, second = make_occurrence(), make_taxon(), make_taxon()
        identify(occurrence, first)
        identify(occurrence, second)
        Identification.objects.update(created_at=NIGHT)

        assert decide(occurrence) == (second, 1.0)

    def test_withdrawn_identification_says_nothing(self) -> None:
        occurrence, taxon = make_occurrence(), make_taxon()
        classify(occurrence, taxon, score=0.3)
        identify(occurrence, make_taxon(), withdrawn=True)

        assert decide(occurrence) == (taxon, 0.3)

    def test_identification_without_taxon_says_nothing(self) -> None:
        occurrence, taxon = make_occurrence(), make_taxon()
        identify(occurrence, taxon)
        identify(occurrence, None)

        assert decide(occurrence) == (taxon, 1.0)

    def test_best_score_over_all_detections_wins(self) -> None:
        occurrence, best = make_occurrence(), make_taxon()
        classify(occurrence, make_taxon(), score=0.6)
        classify(occurrence, best, score=0.7)
        classify(occurrence, make_taxon(), score=0.2)

        assert decide(occurrence) == (best, 0.7)

    def test_terminal_comes_before_a_better_intermediate_one(self) -> None:
        occurrence, final = make_occurrence(), make_taxon()
        classify(occurrence, make_taxon(), score=0.9, terminal=False)
        classify(occurrence, final, score=0.1)

        assert decide(occurrence) == (final, 0.1)

    def test_terminal_comes_first_even_where_it_is_not_identifiable(self) -> None:
        occurrence, nothing = make_occurrence(), not_identifiable()
        classify(occurrence, make_taxon(), score=0.9, terminal=False)
        classify(occurrence, nothing, score=1.0)

        assert decide(occurrence) == (nothing, 1.0)

    def test_intermediate_decides_only_without_a_terminal_one(self) -> None:
        occurrence, best = make_occurrence(), make_taxon()
        classify(occurrence, make_taxon(), score=0.2, terminal=False)
        classify(occurrence, best, score=0.4, terminal=False)
        classify(occurrence, None, score=1.0)

        assert decide(occurrence) == (best, 0.4)

    def test_small_frame_never_outvotes_a_good_frame(self) -> None:
        occurrence, moth, nothing = make_occurrence(), make_taxon(), not_identifiable()
        classify(occurrence, nothing, score=1.0)
        good = classify(occurrence, moth, score=0.1)

        assert decide(occurrence) == (moth, 0.1)

        Classification.objects.filter(pk=good.pk).update(taxon=nothing, score=1.0)
        assert decide(occurrence) == (nothing, 1.0)

    def test_newest_wins_at_even_scores(self) -> None:
        occurrence, newest = make_occurrence(), make_taxon()
        classify(occurrence, newest, timestamp=NIGHT + timedelta(hours=1))
        classify(occurrence, make_taxon())

        assert decide(occurrence) == (newest, 0.9)

    def test_highest_id_wins_at_even_times(self) -> None:
        occurrence, last = make_occurrence(), make_taxon()
        classify(occurrence, make_taxon())
        classify(occurrence, last)

        assert decide(occurrence) == (last, 0.9)

    def test_missing_score_comes_last(self) -> None:
        occurrence, scored = make_occurrence(), make_taxon()
        classify(occurrence, scored, score=0.0)
        classify(occurrence, make_taxon(), score=None)

        assert decide(occurrence) == (scored, 0.0)

    def test_taxon_and_score_are_cleared_where_nothing_is_left(self) -> None:
        occurrence = make_occurrence()
        row = classify(occurrence, make_taxon())
        decide(occurrence)
        row.delete()

        assert decide(occurrence) == (None, None)


@pytest.mark.django_db
class TestChanges:
    def test_before_and_after_are_returned_in_id_order(self) -> None:
        first, second, taxon = make_occurrence(), make_occurrence(), make_taxon()
        for occurrence in (second, first):
            classify(occurrence, taxon, score=0.5)

        changes = update_determinations([second.pk, first.pk, first.pk])

        assert changes == [
            DeterminationChange(first.pk, None, taxon.pk, None, 0.5),
            DeterminationChange(second.pk, None, taxon.pk, None, 0.5),
        ]
        assert all(change.taxon_changed for change in changes)

    def test_score_is_refreshed_where_the_taxon_stays(self) -> None:
        occurrence, taxon = make_occurrence(), make_taxon()
        classify(occurrence, taxon, score=0.5)
        decide(occurrence)
        classify(occurrence, taxon, score=0.8)

        (change,) = update_determinations([occurrence.pk])

        assert change == DeterminationChange(occurrence.pk, taxon.pk, taxon.pk, 0.5, 0.8)
        assert not change.taxon_changed

    def test_what_is_right_already_is_not_written(self) -> None:
        occurrence = make_occurrence()
        classify(occurrence, make_taxon())
        decide(occurrence)
        before = occurrence.updated_at

        assert update_determinations([occurrence.pk]) == []

        occurrence.refresh_from_db()
        assert occurrence.updated_at == before

    def test_others_are_left_alone_and_unknown_ids_are_passed_over(self) -> None:
        occurrence = make_occurrence()
        classify(occurrence, make_taxon())

        assert update_determinations([10**12]) == []
        assert update_determinations([]) == []

        occurrence.refresh_from_db()
        assert occurrence.determination is None

    def test_queries_do_not_grow_with_occurrences(self) -> None:
        def queries(count: int) -> int:
            occurrences = [make_occurrence() for _ in range(count)]
            for occurrence in occurrences:
                classify(occurrence, make_taxon())
                identify(occurrence, make_taxon())
            with CaptureQueriesContext(connection) as context:
                update_determinations(occurrence.pk for occurrence in occurrences)
            return len(context)

        assert queries(20) == queries(1)

    def test_rows_are_locked_in_id_order(self) -> None:
        occurrence = make_occurrence()

        with CaptureQueriesContext(connection) as queries:
            update_determinations([occurrence.pk])

        (lock,) = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
        assert "ORDER BY id" in lock


@pytest.mark.django_db
class TestOneOccurrence:
    def test_change_of_the_taxon_is_told(self) -> None:
        occurrence, taxon = make_occurrence(), make_taxon()
        classify(occurrence, taxon, score=0.4)

        assert update_occurrence_determination(occurrence)
        assert (occurrence.determination, occurrence.determination_score) == (taxon, 0.4)
        assert not update_occurrence_determination(occurrence)

    def test_change_is_measured_against_what_is_given(self) -> None:
        occurrence, taxon = make_occurrence(), make_taxon()
        classify(occurrence, taxon)
        update_occurrence_determination(occurrence)

        assert update_occurrence_determination(occurrence, make_taxon())
        assert not update_occurrence_determination(occurrence, taxon)

    def test_without_save_only_the_instance_changes(self) -> None:
        occurrence, taxon = make_occurrence(), make_taxon()
        classify(occurrence, taxon, score=0.4)

        assert update_occurrence_determination(occurrence, save=False)

        assert (occurrence.determination, occurrence.determination_score) == (taxon, 0.4)
        assert Occurrence.objects.get(pk=occurrence.pk).determination is None


def slow_rule(occurrence: Occurrence) -> tuple[int | None, float | None]:
    """The rule as `METHODS` tells it, in plain Python."""
    people = [
        row
        for row in Identification.objects.filter(occurrence=occurrence)
        if not row.withdrawn and row.taxon_id is not None
    ]
    if people:
        return max(people, key=lambda row: (row.created_at, row.pk)).taxon_id, 1.0
    rows = [
        row
        for row in Classification.objects.filter(detection__occurrence=occurrence)
        if row.taxon is not None
    ]
    rows = [row for row in rows if row.terminal] or rows
    if not rows:
        return None, None

    def order(row: Classification) -> tuple[Any, ...]:
        identifiable = row.taxon is not None and row.taxon.identifiable
        return (identifiable, -1 if row.score is None else row.score, row.timestamp, row.pk)

    best = max(rows, key=order)
    return best.taxon_id, best.score


machine_rows = st.lists(
    st.tuples(
        st.integers(0, 2),  # which detection
        st.sampled_from([None, 0, 1, 2]),  # which taxon
        st.sampled_from([None, 0.0, 0.5, 1.0]),
        st.booleans(),
        st.integers(0, 1),  # hours
    ),
    max_size=7,
)
people_rows = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2]), st.booleans(), st.integers(0, 1)), max_size=3
)


@pytest.mark.django_db
@given(machine=machine_rows, people=people_rows, before=st.sampled_from([None, 0, 1]))
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_sql_and_best_prediction_agree_with_the_rule_in_plain_python(
    machine: list[Any], people: list[Any], before: int | None
) -> None:
    with transaction.atomic():
        taxa = [make_taxon(), make_taxon(), not_identifiable()]
        occurrence = make_occurrence()
        capture = make_capture()
        detections = Detection.objects.bulk_create(
            Detection(source_image=capture, occurrence=occurrence) for _ in range(3)
        )
        Classification.objects.bulk_create(
            Classification(
                detection=detections[detection],
                taxon=None if taxon is None else taxa[taxon],
                score=score,
                terminal=terminal,
                timestamp=NIGHT + timedelta(hours=hours),
            )
            for detection, taxon, score, terminal, hours in machine
        )
        for taxon, withdrawn, hours in people:
            row = identify(occurrence, None if taxon is None else taxa[taxon], withdrawn=withdrawn)
            Identification.objects.filter(pk=row.pk).update(
                created_at=NIGHT + timedelta(hours=hours)
            )
        Occurrence.objects.filter(pk=occurrence.pk).update(
            determination=None if before is None else taxa[before], determination_score=0.25
        )

        update_determinations([occurrence.pk])

        occurrence.refresh_from_db()
        decided = occurrence.determination_id, occurrence.determination_score
        assert decided == slow_rule(occurrence)
        prediction, person = occurrence.best_prediction, occurrence.best_identification
        if person:
            assert occurrence.determination_id == person.taxon_id
        elif prediction:
            assert decided == (prediction.taxon_id, prediction.score)
        else:
            assert decided == (None, None)
        transaction.set_rollback(True)


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
    """Poll PostgreSQL until another session of this database waits for a row lock."""
    with connection.cursor() as cursor:
        for _ in range(100_000):
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'"
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

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.factories import NIGHT, make_occurrence, make_taxon
from ami.main.determinations import DeterminationChange, update_determinations
from ami.main.models import (
    Classification,
    Identification,
    Occurrence,
    update_occurrence_determination,
)
from ami.main.tests.determining import classify, decide, identify, not_identifiable


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

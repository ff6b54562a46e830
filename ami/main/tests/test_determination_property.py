from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami.base.tests.factories import NIGHT, make_capture, make_occurrence, make_taxon
from ami.main.admin.why import Votes, reasons_of, why
from ami.main.determinations import FAULTS, update_determinations
from ami.main.models import Classification, Detection, Identification, Occurrence
from ami.main.tests.determining import identify, not_identifiable


def slow_rule(occurrence: Occurrence) -> tuple[int | None, float | None]:
    """The determination rule in plain Python."""
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


def slow_votes(occurrence: Occurrence, best: Classification | None) -> Votes:
    """What the sentence about the determination counts, in plain Python."""
    if best is None or best.taxon is None:
        return Votes()
    rows = list(Classification.objects.filter(detection__occurrence=occurrence))
    peers = [
        row
        for row in rows
        if row.taxon is not None
        and row.taxon.identifiable == best.taxon.identifiable
        and row.terminal == best.terminal
    ]
    tied = [row for row in peers if row.score == best.score]
    return Votes(
        all_terminal=sum(row.terminal and row.taxon is not None for row in rows),
        without_taxon=sum(row.terminal and row.taxon is None for row in rows),
        peers=len(peers),
        same_score=len(tied),
        same_time=sum(row.timestamp == best.timestamp for row in tied),
    )


def slow_fault(occurrence: Occurrence) -> str | None:
    """How the occurrence differs from the rule, in plain Python."""
    occurrence.refresh_from_db()
    taxon, score = slow_rule(occurrence)
    if occurrence.determination_id == taxon:
        return None if occurrence.determination_score == score else "score"
    return "missing" if occurrence.determination is None else "taxon"


def fault_in_one_pass(occurrence: Occurrence) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT fault FROM ({FAULTS}) f WHERE id = %s", [occurrence.pk])
        return next((fault for (fault,) in cursor.fetchall()), None)


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

        assert fault_in_one_pass(occurrence) == slow_fault(occurrence)
        update_determinations([occurrence.pk])
        assert fault_in_one_pass(occurrence) is None

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
        reasons = reasons_of(occurrence, user=AnonymousUser())
        assert reasons.result == decided
        assert (reasons.best, reasons.person) == (prediction, person)
        assert reasons.votes == slow_votes(occurrence, prediction)
        assert why(reasons)
        transaction.set_rollback(True)

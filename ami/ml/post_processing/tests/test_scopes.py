from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from ami.base.tests.factories import make_capture, make_capture_set, make_detection, make_occurrence
from ami.jobs.states import JobFailedError
from ami.main.models import Event, Occurrence, SourceImageCollection
from ami.ml.post_processing.scopes import SCOPES, Chosen, chosen_scope, scope_options, scopes_of
from ami.ml.post_processing.tests.methods import ScopeConfig, make_scope
from ami.ml.post_processing.tests.nights import make_event

SETS, OCCURRENCES, NIGHTS = SCOPES


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({}, "none"),
        ({"occurrence_id": None}, "none"),
        (
            {"occurrence_id": 1, "source_image_collection_id": 2},
            "source_image_collection_id and occurrence_id",
        ),
    ],
)
def test_exactly_one_scope_must_be_given(options: dict[str, Any], got: str) -> None:
    with pytest.raises(ValidationError) as invalid:
        ScopeConfig(**options)
    assert invalid.value.errors()[0]["msg"] == (
        f"Exactly one of source_image_collection_id, occurrence_id must be given, got {got}."
    )


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra fields not permitted"):
        ScopeConfig(occurrence_id=1, treshold=2)  # type: ignore[call-arg]


def test_schema_tells_its_scopes() -> None:
    class OccurrenceOnly(BaseModel):
        occurrence_id: int
        threshold: float

    assert scopes_of(ScopeConfig) == [SETS, OCCURRENCES]

    class NightsOnly(BaseModel):
        event_ids: list[int] = []

    assert scopes_of(OccurrenceOnly) == [OCCURRENCES]
    assert scopes_of(NightsOnly) == [NIGHTS]
    assert [scope.model for scope in SCOPES] == [SourceImageCollection, Occurrence, Event]


@pytest.mark.django_db
def test_scope_names_its_row() -> None:
    occurrence = make_occurrence()
    chosen = chosen_scope(ScopeConfig(occurrence_id=occurrence.pk))
    assert chosen == Chosen(OCCURRENCES, [occurrence.pk], foreign=[])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "noun"),
    [("occurrence_id", "Occurrence"), ("source_image_collection_id", "Capture set")],
)
def test_vanished_scope_is_named(field: str, noun: str) -> None:
    with pytest.raises(JobFailedError, match=rf"^{noun} 987654 no longer exists\.$"):
        chosen_scope(ScopeConfig(**{field: 987654}))


def test_rows_are_given_by_the_option_that_takes_as_many() -> None:
    class Several(BaseModel):
        event_ids: list[int] = []

    class Both(Several):
        event_id: int | None = None

    assert scope_options(Both, NIGHTS, [7]) == {"event_id": 7}
    assert scope_options(Both, NIGHTS, [9, 7]) == {"event_ids": [7, 9]}
    assert scope_options(Several, NIGHTS, [7]) == {"event_ids": [7]}


@pytest.mark.django_db
def test_option_for_several_rows_is_enough() -> None:
    class Several(BaseModel):
        source_image_collection_id: int | None = None
        event_ids: list[int] = []

    event = make_event()
    assert chosen_scope(Several(event_ids=[event.pk])) == Chosen(NIGHTS, [event.pk], foreign=[])
    capture_set = make_scope(1)
    chosen = chosen_scope(Several(source_image_collection_id=capture_set.pk))
    assert chosen == Chosen(SETS, [capture_set.pk], foreign=[])


def test_options_without_any_scope_are_refused() -> None:
    with pytest.raises(JobFailedError, match="name no rows to run on"):
        chosen_scope(ScopeConfig.construct(occurrence_id=None, source_image_collection_id=None))


@pytest.mark.django_db
def test_capture_shared_by_two_sets_is_counted_once() -> None:
    capture, other = make_capture(), make_capture()
    shared = make_detection(source_image=capture)
    make_detection(source_image=other)
    sets = [make_capture_set([capture]).pk, make_capture_set([capture]).pk]
    assert list(SETS.captures(sets)) == [capture]
    assert list(SETS.detections(sets)) == [shared]


@pytest.mark.django_db
def test_occurrence_has_its_detections_and_their_captures() -> None:
    make_scope(3, 1, loose=2)
    first, second = Occurrence.objects.order_by("pk")
    assert OCCURRENCES.detections([first.pk]).count() == 3
    assert OCCURRENCES.captures([first.pk]).count() == 1
    assert OCCURRENCES.detections([first.pk, second.pk]).count() == 4


@pytest.mark.django_db
def test_nothing_selected_is_nothing_in_scope() -> None:
    make_scope(1)
    for scope in SCOPES:
        assert not scope.captures([]).exists()
        assert not scope.detections([]).exists()

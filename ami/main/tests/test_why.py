"""The sentence on the page of an occurrence tells what the determination rule did."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import strip_tags

from ami.base.tests.factories import (
    NIGHT,
    make_algorithm,
    make_classification,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.jobs.models import Job
from ami.main.admin.why import reasons_of, why
from ami.main.models import Classification, Detection, Identification, Occurrence, TaxaList, Taxon

pytestmark = pytest.mark.django_db


@pytest.fixture
def detection() -> Detection:
    return make_detection(occurrence=make_occurrence())


@pytest.fixture
def moth() -> Taxon:
    return make_taxon(name="Zale galbanata")


@pytest.fixture
def nameless() -> Taxon:
    return make_taxon(name="Not identifiable", identifiable=False)


def predict(detection: Detection, taxon: Taxon | None, **fields: Any) -> Classification:
    row = make_classification(
        **{"detection": detection, "taxon": taxon, "timestamp": NIGHT, "score": 0.5} | fields
    )
    if taxon is None:
        Classification.objects.filter(pk=row.pk).update(taxon=None)
    return row


def told(detection: Detection) -> str:
    occurrence = Occurrence.objects.get(detections=detection)
    user = make_user(is_staff=True, is_superuser=True)
    reasons = reasons_of(occurrence, user=user)
    occurrence.save()
    assert (occurrence.determination_id, occurrence.determination_score) == reasons.result
    return strip_tags(why(reasons)).replace("&#x27;", "'")


def test_the_best_of_several_is_named_with_its_run_and_list(
    detection: Detection, moth: Taxon
) -> None:
    taxa_list = TaxaList.objects.create(name="Quebec")
    job = Job.objects.create(
        name="Run",
        job_type_key="post_processing",
        params={
            "task": "class_masking",
            "config": {"taxa_list_id": taxa_list.pk},
        },
    )
    best = predict(detection, moth, score=0.9, job=job)
    for _ in range(2):
        predict(detection, make_taxon())
    assert told(detection) == (
        f"Zale galbanata, because classification {best.pk} of detection {detection.pk}, class "
        f"masking by Job {job.pk} with taxa list Quebec, scores highest (0.900) among 3 terminal "
        "classifications; nobody has identified it."
    )


def test_the_only_one_is_named_with_its_algorithm(detection: Detection, moth: Taxon) -> None:
    predict(detection, moth, algorithm=make_algorithm(name="Moths"))
    assert "by Moths v1, is the only terminal classification; nobody" in told(detection)


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (
            [{"score": 0.5, "timestamp": NIGHT - timedelta(hours=1)}],
            "is the newest of 2 with the highest score (0.500) among 2 terminal classifications",
        ),
        (
            [{"score": None, "timestamp": NIGHT - timedelta(hours=1)}],
            "scores highest (0.500) among 2 terminal classifications",
        ),
        (
            [{}, {"timestamp": NIGHT - timedelta(hours=1)}, {"score": 0.4}],
            "has the highest id of the 2 newest with the highest score (0.500) among 4 terminal",
        ),
        ([{"terminal": False, "score": 0.9}], "is the only terminal classification; nobody"),
    ],
)
def test_ties_are_told_in_the_order_of_the_rule(
    detection: Detection, moth: Taxon, others: list[dict[str, Any]], expected: str
) -> None:
    for fields in others:
        predict(detection, make_taxon(), **fields)
    predict(detection, moth)
    assert expected in told(detection)


def test_what_is_not_identifiable_gives_way(
    detection: Detection, moth: Taxon, nameless: Taxon
) -> None:
    predict(detection, nameless, score=1)
    predict(detection, moth)
    assert told(detection).startswith("Zale galbanata, because classification")
    assert (
        "is the only terminal classification of an identifiable taxon (1 of a taxon that is not "
        "identifiable gives way)"
    ) in told(detection)


def test_an_occurrence_is_not_identifiable_only_if_all_say_so(
    detection: Detection, nameless: Taxon
) -> None:
    predict(detection, nameless, score=1)
    predict(detection, nameless, score=0.9)
    assert (
        "scores highest (1.000) among 2 terminal classifications, but its taxon is not "
        "identifiable, and no other one is of an identifiable taxon"
    ) in told(detection)


@pytest.mark.parametrize(
    ("terminal", "expected"),
    [
        (False, "there is no terminal classification and "),
        (True, "classification with a taxon and"),
    ],
)
def test_an_intermediate_one_decides_only_without_terminal_ones(
    detection: Detection, moth: Taxon, terminal: bool, expected: str
) -> None:
    predict(detection, None, terminal=terminal)
    predict(detection, moth, terminal=False)
    assert expected in told(detection)
    assert "is the only intermediate classification" in told(detection)


def test_a_person_decides(detection: Detection, moth: Taxon) -> None:
    best = predict(detection, moth)
    occurrence = detection.occurrence
    assert occurrence is not None
    ada = make_user(name="Ada")
    other = make_taxon(name="Zale lunata")
    Identification.objects.create(occurrence=occurrence, taxon=moth, user=ada)
    Identification.objects.create(occurrence=occurrence, taxon=moth, user=ada, withdrawn=True)
    said = Identification.objects.create(occurrence=occurrence, taxon=other)
    assert told(detection) == (
        f"Zale lunata, because a former user identified it on {said.created_at:%Y-%m-%d} "
        f"(identification {said.pk}, the latest of 2 identifications that count). Without them, "
        f"it would be Zale galbanata, because classification {best.pk} of detection "
        f"{detection.pk}, by an unknown algorithm, is the only terminal classification."
    )


def test_withdrawn_identifications_do_not_count(detection: Detection, moth: Taxon) -> None:
    predict(detection, moth)
    occurrence = Occurrence.objects.get()
    Identification.objects.create(occurrence=occurrence, taxon=moth, withdrawn=True)
    assert told(detection).endswith("; its 1 identification is withdrawn or without a taxon.")


def test_nothing_gives_a_name(detection: Detection) -> None:
    predict(detection, None)
    assert told(detection) == (
        "No name, because no classification has a taxon and nobody has identified it."
    )


def test_the_sentence_takes_few_queries(detection: Detection, moth: Taxon) -> None:
    for _ in range(20):
        predict(detection, moth)
    occurrence = Occurrence.objects.get(detections=detection)
    Identification.objects.create(occurrence=occurrence, taxon=moth, user=make_user())
    user = make_user(is_staff=True, is_superuser=True)
    with CaptureQueriesContext(connection) as queries:
        why(reasons_of(occurrence, user=user))
    assert len(queries) <= 4

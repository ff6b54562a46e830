"""The pages of rows: crops, lineage, forms."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_capture_set,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.jobs.models import Job, JobState
from ami.main.models import Deployment, Detection, Identification, Occurrence
from ami.main.pictures import LARGE, frame_url

pytestmark = pytest.mark.django_db


def page(client: Client, obj: Any) -> str:
    return client.get(change_url(obj)).content.decode()


def change_url(obj: Any) -> str:
    name = f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change"
    return reverse(name, args=[obj.pk])


@pytest.fixture
def occurrence() -> Occurrence:
    return make_occurrence()


def test_occurrence_shows_the_lineage_of_each_detection(
    admin_client: Client, occurrence: Occurrence
) -> None:
    detection = make_detection(occurrence=occurrence)
    job = Job.objects.create(
        name="Rank rollup on set 1",
        job_type_key="post_processing",
        params={"task": "rank_rollup", "config": {"thresholds": {"SPECIES": 0.8}}},
    )
    source = make_classification(
        detection=detection, taxon=make_taxon(name="Actias luna"), terminal=False
    )
    make_classification(
        detection=detection,
        taxon=make_taxon(name="Actias"),
        algorithm=make_algorithm(name="Rollup"),
        applied_to=source,
        job=job,
        metadata={"thresholds": {"SPECIES": 0.8}, "unassigned_mass": 0.25, "kept": "a" * 64},
        timestamp=timezone.now(),
    )

    text = page(admin_client, occurrence).partition(">Lineage</h2>")[2]
    shown = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)

    assert shown.index("Actias luna</a>") < shown.index("Actias</a>")
    assert shown.count("intermediate") == 1
    assert change_url(job) in shown
    assert change_url(source) in shown
    assert change_url(detection) in shown
    assert "Rollup v1" in shown
    assert re.search(r"Rank rollup, <a [^>]*>Job \d+</a>: thresholds species 0.8<", shown)
    assert "25.0% of the probability counted for no taxon of this rank" in shown
    assert shown.count("species 0.8") == 1
    assert "a" * 64 not in shown
    assert "a" * 64 in text


def test_occurrence_shows_a_bounded_number_of_crops_and_predictions(
    admin_client: Client, occurrence: Occurrence
) -> None:
    capture = make_capture()
    Detection.objects.bulk_create(
        Detection(source_image=capture, occurrence=occurrence, path="moth.jpg") for _ in range(200)
    )
    for detection in Detection.objects.order_by("pk")[170:]:
        make_classification(detection=detection)
    best = make_classification(detection=detection, score=1)

    with CaptureQueriesContext(connection) as queries:
        text = page(admin_client, occurrence)

    crops, lineage = text.split(">Lineage</h2>")
    assert crops.count('/picture/?size=320" alt="Crop"') == 24 + 1  # the one that decides
    assert change_url(best) in lineage
    assert lineage.count(": no classifications") == 24
    assert "and 175 more" in text
    assert f"/detection/?occurrence__id__exact={occurrence.pk}" in text
    assert f"/classification/?detection__occurrence__id__exact={occurrence.pk}" in text
    assert len(queries) <= 20


def test_occurrence_shows_identifications_and_which_were_withdrawn(
    admin_client: Client, occurrence: Occurrence
) -> None:
    Identification.objects.create(
        occurrence=occurrence, taxon=make_taxon(name="Actias luna"), user=make_user(name="Ada")
    )
    Identification.objects.create(occurrence=occurrence, withdrawn=True, comment="A slip.")

    text = page(admin_client, occurrence)

    assert "Ada" in text
    assert "withdrawn" in text
    assert "A slip." in text


def test_pages_of_bare_rows_open(admin_client: Client, occurrence: Occurrence) -> None:
    assert "No detections." in page(admin_client, occurrence)
    assert "No identifications." in page(admin_client, occurrence)
    assert "no box" in page(admin_client, make_detection(bbox=None))


def test_detection_draws_its_box_on_its_capture(admin_client: Client) -> None:
    detection = make_detection(bbox=[10.5, 20, 110, 220])
    text = page(admin_client, detection)

    assert f'<img src="{frame_url(detection.source_image_id, LARGE)}" alt="Capture"' in text
    assert 'viewBox="0 0 1000 1000"' in text
    assert '<rect x="10.5" y="20" width="99.5" height="200" />' in text


@pytest.mark.parametrize(
    "bbox", [[1, 2, 3], [], [1, 2, None, 4], [5, 5, 1, 1], [1, 2, float("inf"), 4]]
)
def test_a_box_that_cannot_be_drawn_is_not(admin_client: Client, bbox: list[Any]) -> None:
    assert "<rect" not in page(admin_client, make_detection(bbox=bbox))


@pytest.mark.parametrize(
    ("box", "sentence"),
    [
        ("1,2,3", "Enter four numbers, x1, y1, x2, y2; got 3."),
        ("5,5,1,1", "x1 must be below x2 and y1 below y2; got 5, 5 to 1, 1."),
        ("1,2,a,4", "Enter a number."),
        ("1,2,nan,4", "Enter a number."),
    ],
)
def test_a_wrong_box_is_refused_with_a_sentence(
    admin_client: Client, box: str, sentence: str
) -> None:
    detection = make_detection()

    response = admin_client.post(
        change_url(detection), {"source_image": detection.source_image_id, "bbox": box}
    )

    assert sentence in response.content.decode()
    detection.refresh_from_db()
    assert detection.bbox == [100, 100, 200, 200]


def test_saving_a_detection_leaves_its_vector_alone(admin_client: Client) -> None:
    detection = make_detection(similarity_vector=[0.5, 0.25])

    response = admin_client.post(
        change_url(detection), {"source_image": detection.source_image_id, "bbox": "1,2,3,4"}
    )

    assert response.status_code == 302
    detection.refresh_from_db()
    assert detection.bbox == [1, 2, 3, 4]
    assert detection.similarity_vector == [0.5, 0.25]


@pytest.mark.parametrize(
    ("zone", "sentence"),
    [("Europe/Nowhere", "not an IANA time zone"), ("../etc", "not an IANA")],
)
def test_an_unknown_time_zone_is_refused(admin_client: Client, zone: str, sentence: str) -> None:
    deployment = make_deployment()

    response = admin_client.post(change_url(deployment), {"name": "Trap", "time_zone": zone})

    assert sentence in response.content.decode()


def test_another_time_zone_regroups_the_captures(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        Deployment, "_group_captures", lambda self, *, in_background: asked.append(in_background)
    )
    deployment = make_deployment()
    data = {"name": "Trap", "project": deployment.project_id, "night_starts": "12:00"}

    admin_client.post(change_url(deployment), data | {"time_zone": "UTC"})
    assert asked == []
    admin_client.post(change_url(deployment), data | {"time_zone": "America/Montreal"})
    assert asked == [True]
    other = data | {"time_zone": "UTC", "night_starts": "18:00"}
    Deployment.objects.filter(pk=deployment.pk).update(time_zone="UTC")
    admin_client.post(change_url(deployment), other)
    assert asked == [True, True]


def test_a_taxon_cannot_come_under_itself(admin_client: Client) -> None:
    parent = make_taxon(name="Actias", rank="GENUS")
    child = make_taxon(name="Actias luna", parent=parent)

    response = admin_client.post(
        change_url(parent), {"name": "Actias", "rank": "GENUS", "parent": child.pk}
    )

    assert "Actias luna is already under Actias" in response.content.decode()


def test_capture_sets_choose_their_captures_anew(admin_client: Client) -> None:
    capture = make_capture()
    good = make_capture_set([capture], method="full")
    bad = make_capture_set([capture])
    bad.kwargs = {}
    bad.save()
    good.images.clear()

    response = admin_client.post(
        reverse("admin:main_sourceimagecollection_changelist"),
        {"action": "populate", "_selected_action": [good.pk, bad.pk]},
        follow=True,
    )

    assert good.images.count() == 1
    assert "needs &#x27;image_ids&#x27; in its method parameters" in response.content.decode()


def test_capture_set_keeps_its_captures_while_a_job_works_on_it(admin_client: Client) -> None:
    capture_set = make_capture_set([make_capture()], method="full")
    capture_set.images.clear()
    config = {"source_image_collection_id": capture_set.pk}
    job = Job.objects.create(
        name="Filter",
        job_type_key="post_processing",
        params={"task": "small_size_filter", "config": config},
        status=JobState.STARTED,
    )
    asked = {"action": "populate", "_selected_action": capture_set.pk}
    address = reverse("admin:main_sourceimagecollection_changelist")

    told = admin_client.post(address, asked, follow=True).text

    assert f"{capture_set} keeps its captures. <a href=" in told
    assert f"Job {job.pk}</a>, “Filter”, has not ended" in told
    assert not capture_set.images.exists()

    Job.objects.update(status=JobState.SUCCESS)
    admin_client.post(address, asked)
    assert capture_set.images.exists()


@pytest.mark.parametrize(
    ("method", "kwargs"),
    [
        *(("random", {"size": odd}) for odd in (None, "x", -1, 1.5, True, [1])),
        *(("manual", {"image_ids": odd}) for odd in (None, 1, "12", {"a": 1}, [[1]], [-1])),
    ],
)
def test_odd_parameters_of_a_capture_set_are_refused(method: str, kwargs: Any) -> None:
    capture_set = make_capture_set([make_capture()])
    capture_set.method, capture_set.kwargs = method, kwargs

    refused = (
        r"must be a (list of ids|whole number from 0)\.|is not the id of one of the captures\."
    )
    with pytest.raises(ValueError, match=refused):
        capture_set.populate_sample()


def test_sample_may_be_larger_than_any_table() -> None:
    capture_set = make_capture_set([make_capture()])
    capture_set.method, capture_set.kwargs = "random", {"size": 10**30}

    capture_set.populate_sample()

    assert capture_set.images.count() == 1


@pytest.mark.parametrize("odd", ["x", "\x00", "9" * 30, "-1"])
def test_form_with_what_is_no_id_is_drawn(admin_client: Client, odd: str) -> None:
    for model, field in (
        ("integrity_integrityacknowledgement", "project"),
        ("main_taxon", "parent"),
        ("main_taxon", "projects"),
    ):
        path = reverse(f"admin:{model}_add")
        assert admin_client.get(path, {field: odd}).status_code == 200
        response = admin_client.post(path, {field: odd})
        assert response.status_code == 200
        assert response.context["adminform"].form.errors[field]

"""Recomputing determinations, and deleting."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.main.admin import identify
from ami.main.admin import occurrence as occurrence_admin
from ami.main.models import Classification, Detection, Identification, Occurrence, SourceImage

pytestmark = pytest.mark.django_db


def run(client: Client, name: str, action: str, rows: Iterable[Any], **data: Any) -> str:
    response = client.post(
        reverse(f"admin:main_{name}_changelist"),
        {"action": action, "_selected_action": [row.pk for row in rows], **data},
        follow=True,
    )
    return response.content.decode()


@pytest.fixture
def stale() -> list[Occurrence]:
    """Occurrences whose classification was written after their determination."""
    occurrences = [make_occurrence() for _ in range(3)]
    for occurrence in occurrences:
        make_classification(detection=make_detection(occurrence=occurrence))
    return occurrences


def test_recompute_determination_says_how_many_changed(
    admin_client: Client, stale: list[Occurrence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identify, "BATCH", 2)

    text = run(admin_client, "occurrence", "recompute_determination", stale)

    assert "Checked 3 occurrences: 3 changed in taxon" in text
    assert not Occurrence.objects.filter(determination=None).exists()
    assert "Checked 3 occurrences: 0 changed in taxon" in run(
        admin_client, "occurrence", "recompute_determination", stale
    )


def test_recompute_determination_refuses_more_than_a_request_can_bear(
    admin_client: Client, stale: list[Occurrence], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occurrence_admin, "RECOMPUTE_LIMIT", 2)

    text = run(admin_client, "occurrence", "recompute_determination", stale, select_across=1)

    assert "More than 2 occurrences are selected" in text
    assert not Occurrence.objects.exclude(determination=None).exists()


@pytest.mark.parametrize("action", ["recompute_determination", "delete_selected"])
def test_an_action_refuses_what_is_no_id(admin_client: Client, action: str) -> None:
    text = run(admin_client, "occurrence", action, [SimpleNamespace(pk="abc")])

    assert "&#x27;abc&#x27; is not the id of one of the occurrences." in text


def test_recompute_determination_needs_the_permission_to_change(
    client: Client, stale: list[Occurrence]
) -> None:
    reader = make_user(is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_occurrence"))
    client.force_login(reader)

    text = run(client, "occurrence", "recompute_determination", stale)

    assert "Recompute determination" not in text
    assert not Occurrence.objects.exclude(determination=None).exists()


def test_deleting_identifications_together_updates_determinations(admin_client: Client) -> None:
    occurrence = make_occurrence()
    rows = [
        Identification.objects.create(occurrence=occurrence, taxon=make_taxon()) for _ in range(2)
    ]
    occurrence.refresh_from_db()
    assert occurrence.determination == rows[1].taxon

    run(admin_client, "identification", "delete_selected", rows, post="yes")

    occurrence.refresh_from_db()
    assert not Identification.objects.exists()
    assert occurrence.determination is None


@pytest.mark.parametrize("model", [Classification, Detection, SourceImage])
@pytest.mark.parametrize("together", [True, False])
def test_deleting_what_a_determination_rests_on_updates_it(
    admin_client: Client, stale: list[Occurrence], model: Any, together: bool
) -> None:
    run(admin_client, "occurrence", "recompute_determination", stale)
    row = model.objects.first()
    name = model._meta.model_name

    if together:
        run(admin_client, name, "delete_selected", [row], post="yes")
    else:
        admin_client.post(reverse(f"admin:main_{name}_delete", args=[row.pk]), {"post": "yes"})

    assert not model.objects.filter(pk=row.pk).exists()
    assert Occurrence.objects.filter(determination=None).count() == 1


def test_what_drags_too_many_rows_along_is_not_deleted(admin_client: Client) -> None:
    deployment = make_deployment()
    capture = make_capture(deployment=deployment)
    Detection.objects.bulk_create(Detection(source_image=capture) for _ in range(1_001))

    for url in (
        reverse("admin:main_sourceimage_delete", args=[capture.pk]),
        reverse("admin:main_deployment_delete", args=[deployment.pk]),
        reverse("admin:main_project_delete", args=[deployment.project_id]),
    ):
        response = admin_client.post(url, {"post": "yes"})
        assert "More than 1,000 rows would be deleted or changed" in response.content.decode()
    text = run(admin_client, "detection", "delete_selected", [capture], select_across=1)

    assert "More than 1,000 rows would be deleted or changed" in text
    assert SourceImage.objects.filter(pk=capture.pk).exists()
    assert Detection.objects.count() == 1_001


def test_a_name_that_many_rows_bear_is_not_deleted(admin_client: Client) -> None:
    taxon, capture = make_taxon(), make_capture()
    Occurrence.objects.bulk_create(
        Occurrence(deployment=capture.deployment, determination=taxon) for _ in range(1_000)
    )

    response = admin_client.post(
        reverse("admin:main_taxon_delete", args=[taxon.pk]), {"post": "yes"}
    )

    assert "More than 1,000 rows" in response.content.decode()

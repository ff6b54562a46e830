from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.tests.factories import NIGHT, make_capture, make_deployment
from ami.main.counts import (
    CACHED,
    refresh_counts,
    update_capture_counts,
    update_deployment_counts,
    update_event_counts,
)
from ami.main.models import Deployment, Detection, Event, Occurrence, SourceImage
from ami.main.tests.counting import (
    add_in_bulk,
    counts_of,
    first_capture,
    make_counted_deployment,
    move_a_capture_to_another_night,
)
from ami.testing.records import stale_counts

pytestmark = pytest.mark.django_db


@pytest.fixture
def deployment() -> Deployment:
    return make_counted_deployment()


def test_counts_follow_rows_that_are_added(deployment: Deployment) -> None:
    assert counts_of(deployment) == [1, 2, 3, 2]
    assert counts_of(deployment.events.get()) == [2, 3, 2]
    assert [counts_of(capture) for capture in deployment.captures.order_by("pk")] == [[2], [1]]
    assert stale_counts() == []


def delete_detections(deployment: Deployment) -> None:
    Detection.objects.filter(source_image=first_capture(deployment)).delete()


def delete_a_capture_with_its_detections(deployment: Deployment) -> None:
    first_capture(deployment).delete()


def delete_captures_before_their_detections(deployment: Deployment) -> None:
    with connection.cursor() as cursor:
        ids = list(deployment.captures.values_list("pk", flat=True))
        cursor.execute("DELETE FROM main_sourceimage WHERE id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM main_detection WHERE source_image_id = ANY(%s)", [ids])


def delete_the_night(deployment: Deployment) -> None:
    deployment.events.get().delete()


def delete_the_deployment(deployment: Deployment) -> None:
    deployment.delete()


def delete_the_project(deployment: Deployment) -> None:
    assert deployment.project
    deployment.project.delete()


def move_all_to_another_deployment(deployment: Deployment) -> None:
    other = make_deployment()
    for rows in (deployment.events, deployment.captures, deployment.occurrences):
        rows.update(deployment=other)


def move_detections_to_another_capture(deployment: Deployment) -> None:
    Detection.objects.update(source_image=make_capture())


def take_captures_and_occurrences_out_of_their_night(deployment: Deployment) -> None:
    deployment.captures.update(event=None)
    deployment.occurrences.update(event=None)


def empty_all(deployment: Deployment) -> None:
    deployment.captures.all().delete()
    deployment.occurrences.all().delete()


EACH_WAY = [
    add_in_bulk,
    delete_detections,
    delete_a_capture_with_its_detections,
    delete_captures_before_their_detections,
    delete_the_night,
    delete_the_deployment,
    delete_the_project,
    move_a_capture_to_another_night,
    move_all_to_another_deployment,
    move_detections_to_another_capture,
    take_captures_and_occurrences_out_of_their_night,
    empty_all,
]


@pytest.mark.parametrize("change", EACH_WAY)
def test_counts_are_true_after(
    change: Callable[[Deployment], None], deployment: Deployment
) -> None:
    before = [*Event.objects.all(), *Deployment.objects.all()]

    change(deployment)
    refresh_counts()

    assert stale_counts() == []
    now = [*Event.objects.all(), *Deployment.objects.all()]
    assert [vars(row) for row in now] != [vars(row) for row in before]


@pytest.mark.parametrize("name", ["detection", "sourceimage", "occurrence", "event"])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.django_db(transaction=True)
def test_counts_are_true_after_a_deletion_in_the_admin(
    name: str, together: bool, deployment: Deployment, admin_client: Client
) -> None:
    row = apps.get_model("main", name)._default_manager.earliest("pk")
    url, data = reverse(f"admin:main_{name}_delete", args=[row.pk]), {"post": "yes"}
    if together:
        url = reverse(f"admin:main_{name}_changelist")
        data |= {"action": "delete_selected", ACTION_CHECKBOX_NAME: str(row.pk)}

    admin_client.post(url, data)

    assert not type(row)._default_manager.filter(pk=row.pk).exists()
    assert stale_counts() == []
    assert counts_of(deployment) != [1, 2, 3, 2]


def test_a_savepoint_that_is_rolled_back_changes_no_count(deployment: Deployment) -> None:
    with transaction.atomic():
        add_in_bulk(deployment)
        transaction.set_rollback(True)
    delete_detections(deployment)

    refresh_counts()

    assert stale_counts() == []


def test_saving_an_instance_leaves_the_counts_alone(deployment: Deployment) -> None:
    rows = [deployment, deployment.events.get(), first_capture(deployment)]
    add_in_bulk(deployment)
    refresh_counts()

    for row in rows:
        row.save()

    assert stale_counts() == []


def test_nothing_is_written_where_no_row_was_moved(deployment: Deployment) -> None:
    place = "SELECT ctid FROM main_deployment UNION ALL SELECT ctid FROM main_event"
    with connection.cursor() as cursor:
        cursor.execute(place)
        before = cursor.fetchall()
        Detection.objects.update(timestamp=NIGHT, source_image=F("source_image"))
        Occurrence.objects.update(determination_score=0.5, event=F("event"))
        refresh_counts()
        cursor.execute(place)
        assert cursor.fetchall() == before


def miscount() -> None:
    for model in (SourceImage, Event, Deployment):
        model._default_manager.update(**dict.fromkeys(CACHED[model._meta.db_table], 9))


def test_wrong_counts_are_counted_anew(deployment: Deployment) -> None:
    miscount()
    add_in_bulk(deployment)  # is not counted twice

    update_capture_counts(SourceImage.objects.values_list("pk", flat=True))
    update_event_counts(Event.objects.values_list("pk", flat=True))
    update_deployment_counts(Deployment.objects.values_list("pk", flat=True))
    refresh_counts()

    assert stale_counts() == []


def test_no_count_falls_below_zero(deployment: Deployment) -> None:
    for model in (SourceImage, Event, Deployment):
        model._default_manager.update(**dict.fromkeys(CACHED[model._meta.db_table], 0))

    empty_all(deployment)
    refresh_counts()

    assert counts_of(deployment) == [0, 0, 0, 0]


def test_others_are_not_counted(deployment: Deployment) -> None:
    miscount()

    update_capture_counts([])
    update_event_counts([])
    update_deployment_counts([make_deployment().pk])

    assert counts_of(deployment) == [9, 9, 9, 9]


def test_queries_do_not_grow_with_the_rows(deployment: Deployment) -> None:
    ids = [*deployment.captures.values_list("pk", flat=True), -1, 10**12]
    with CaptureQueriesContext(connection) as queries:
        update_capture_counts(ids)
    assert len(queries) == 5  # a savepoint, the differences, the lock, the count
    with CaptureQueriesContext(connection) as queries:
        refresh_counts()
    assert len(queries) == 1

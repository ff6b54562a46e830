"""The project of rows without one of their own is always that of their capture or occurrence."""

from io import StringIO
from threading import Event as Signal

import pytest
from django.db import connection, transaction

from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_detection,
    make_occurrence,
    make_project,
)
from ami.main.checks.declarations import CHECKS
from ami.main.models import (
    Classification,
    Detection,
    Identification,
    Occurrence,
    Project,
    SourceImage,
)
from ami.main.tests.test_count_races import beside, wait_for_a_lock

pytestmark = pytest.mark.django_db

INSERT = """
INSERT INTO main_detection (created_at, updated_at, source_image_id, path, project_id)
VALUES (now(), now(), %s, '', %s) RETURNING project_id
"""
COPY = "COPY main_detection (created_at, updated_at, source_image_id, path) FROM STDIN"


def astray() -> list[object]:
    return [row for pair in CHECKS["stale_project"].pairs for row in pair.get()]


def projects_of_all() -> set[int | None]:
    return {
        *Detection.objects.values_list("project", flat=True),
        *Classification.objects.values_list("project", flat=True),
    }


@pytest.fixture
def capture() -> SourceImage:
    return make_capture()


class TestInsert:
    def test_instance_has_its_project_when_it_is_saved(self, capture: SourceImage) -> None:
        detection = make_detection(source_image=capture)

        assert detection.project == capture.project
        assert make_classification(detection=detection).project == capture.project

    def test_rows_of_a_bulk_have_their_projects(self, capture: SourceImage) -> None:
        (detection,) = Detection.objects.bulk_create([Detection(source_image=capture)])
        (row,) = Classification.objects.bulk_create([Classification(detection=detection)])

        assert detection.project_id == row.project_id == capture.project_id

    @pytest.mark.parametrize("is_right", [True, False])
    def test_given_project_is_checked(self, capture: SourceImage, is_right: bool) -> None:
        given = capture.project_id if is_right else make_project().pk
        with connection.cursor() as cursor:
            cursor.execute(INSERT, [capture.pk, given])
            assert cursor.fetchone() == (given,)  # it is not looked up first

        assert Detection.objects.get().project_id == capture.project_id

    def test_project_given_to_an_instance_is_not_used(self, capture: SourceImage) -> None:
        detection = make_detection(source_image=capture, project_id=make_project().pk)

        assert detection.project_id == capture.project_id

    def test_copied_rows_have_their_project(self, capture: SourceImage) -> None:
        with connection.cursor() as cursor:
            cursor.copy_expert(COPY, StringIO(f"2022-06-20\t2022-06-20\t{capture.pk}\t\n"))

        assert Detection.objects.get().project_id == capture.project_id

    def test_rows_of_a_capture_without_a_project_have_none(self, capture: SourceImage) -> None:
        orphan = make_capture(project=None)

        row = make_classification(detection=make_detection(source_image=orphan))

        assert (row.project_id, row.detection.project_id) == (None, None)


class TestChange:
    @pytest.fixture(autouse=True)
    def rows(self, capture: SourceImage) -> Classification:
        return make_classification(detection=make_detection(source_image=capture))

    @pytest.fixture
    def other(self) -> Project:
        return make_project()

    def test_rows_follow_their_capture(self, capture: SourceImage, other: Project) -> None:
        for project in (other, None, capture.project):
            SourceImage.objects.filter(pk=capture.pk).update(project=project)

            assert projects_of_all() == {project.pk if project else None}

    def test_rows_follow_to_another_capture_or_detection(
        self, rows: Classification, other: Project
    ) -> None:
        rows.detection.source_image = make_capture(project=other)
        rows.detection.save()
        assert projects_of_all() == {other.pk}

        rows.detection = make_detection()
        rows.save()
        rows.refresh_from_db()
        assert rows.project_id == rows.detection.project_id != other.pk
        assert astray() == []

    def test_project_cannot_be_changed(self, capture: SourceImage, other: Project) -> None:
        Classification.objects.update(project=other)
        Detection.objects.update(project=other)
        Classification.objects.update(project=None)

        assert projects_of_all() == {capture.project_id}


class TestIdentification:
    @pytest.fixture
    def occurrence(self) -> Occurrence:
        return make_occurrence(project=make_project())

    @pytest.fixture
    def row(self, occurrence: Occurrence) -> Identification:
        return Identification.objects.create(occurrence=occurrence)

    def test_it_has_the_project_of_its_occurrence(
        self, row: Identification, occurrence: Occurrence
    ) -> None:
        other = Identification(occurrence=occurrence, project=make_project())
        (copied,) = Identification.objects.bulk_create([other])

        assert row.project_id == copied.project_id == occurrence.project_id

    def test_it_follows_its_occurrence_and_to_another_one(
        self, row: Identification, occurrence: Occurrence
    ) -> None:
        for project in (make_project(), None, occurrence.project):
            Occurrence.objects.filter(pk=occurrence.pk).update(project=project)
            row.refresh_from_db()
            assert row.project == project

        Identification.objects.update(occurrence=make_occurrence(project=make_project()))
        Identification.objects.update(project=occurrence.project)
        row.refresh_from_db()
        assert row.project_id == row.occurrence.project_id != occurrence.project_id
        assert astray() == []

    @pytest.mark.django_db(transaction=True)
    def test_move_of_an_occurrence_waits_for_identifications_that_are_being_added(self) -> None:
        occurrence, project = make_occurrence(), make_project()
        added, done = Signal(), Signal()

        def add() -> None:
            with transaction.atomic():
                Identification.objects.bulk_create([Identification(occurrence=occurrence)])
                added.set()
                assert done.wait(timeout=60)

        def move() -> None:
            Occurrence.objects.update(project=project)

        with beside(add):
            assert added.wait(timeout=60)
            with beside(move):
                wait_for_a_lock()
                done.set()

        assert Identification.objects.get().project_id == project.pk


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_row_added_while_its_capture_moves_has_the_new_project(self) -> None:
        detection, project = make_detection(), make_project()
        moved, done = Signal(), Signal()

        def move() -> None:
            with transaction.atomic():
                SourceImage.objects.update(project=project)
                moved.set()
                assert done.wait(timeout=60)

        def add() -> None:
            make_classification(detection=detection)
            make_detection(source_image=detection.source_image)

        with beside(move):
            assert moved.wait(timeout=60)
            with beside(add):
                wait_for_a_lock()
                done.set()

        assert projects_of_all() == {project.pk}

    def test_move_waits_for_rows_that_are_being_added(self) -> None:
        detection, project = make_detection(), make_project()
        added, done = Signal(), Signal()

        def add() -> None:
            with transaction.atomic():
                make_classification(detection=detection)
                added.set()
                assert done.wait(timeout=60)

        def move() -> None:
            SourceImage.objects.update(project=project)

        with beside(add):
            assert added.wait(timeout=60)
            with beside(move):
                wait_for_a_lock()
                done.set()

        assert projects_of_all() == {project.pk}

import pytest
from celery import current_app
from django.core.exceptions import ValidationError
from pytest_django import DjangoCaptureOnCommitCallbacks

from ami.base.ids import RowId
from ami.base.tests.factories import make_capture, make_capture_set, make_deployment, make_project
from ami.main.models import SourceImageCollection
from ami.main.tasks import regroup_events

pytestmark = pytest.mark.django_db


class TestDeployment:
    def test_saving_leaves_nights_and_counts_alone(self) -> None:
        deployment = make_capture().deployment
        assert deployment is not None

        deployment.save()

        assert not deployment.events.exists()
        assert deployment.captures_count == 0

    def test_saving_groups_and_counts_on_request(self) -> None:
        capture = make_capture()
        assert capture.deployment is not None

        capture.deployment.save(update_calculated_fields=True, regroup_async=False)

        capture.refresh_from_db()
        assert capture.event is not None
        assert capture.event.group_by == "2022-06-20"
        assert capture.deployment is not None
        assert (capture.deployment.events_count, capture.deployment.captures_count) == (1, 1)

    def test_grouping_in_the_background_is_published_on_commit(
        self,
        monkeypatch: pytest.MonkeyPatch,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        monkeypatch.setitem(current_app.conf, "task_always_eager", True)
        deployment = make_capture().deployment
        assert deployment is not None

        with django_capture_on_commit_callbacks(execute=True):
            deployment.save(regroup_async=True)
            assert not deployment.events.exists()

        assert deployment.events.count() == 1

    def test_task_groups_the_captures(self) -> None:
        capture = make_capture()
        assert capture.deployment is not None

        regroup_events(RowId(capture.deployment.pk))

        capture.refresh_from_db()
        assert capture.event is not None

    def test_unknown_time_zone_is_refused(self) -> None:
        deployment = make_deployment()
        deployment.time_zone = "Moon/Crater"

        with pytest.raises(ValidationError, match="'Moon/Crater' is not an IANA time zone"):
            deployment.full_clean()


class TestCaptureSet:
    def test_manual_takes_the_ids_of_its_project(self) -> None:
        deployment = make_deployment()
        captures = [make_capture(deployment=deployment) for _ in range(3)]
        capture_set = make_capture_set(captures[:2])
        stranger = make_capture()
        capture_set.kwargs = {"image_ids": [captures[2].pk, stranger.pk, 10**12]}

        capture_set.populate_sample()

        assert list(capture_set.images.all()) == [captures[2]]

    def test_full_takes_every_capture_of_the_project(self) -> None:
        capture = make_capture()
        make_capture()
        assert capture.project is not None
        capture_set = SourceImageCollection.objects.create(project=capture.project, method="full")

        capture_set.populate_sample()

        assert list(capture_set.images.all()) == [capture]

    def test_random_takes_as_many_as_it_says(self) -> None:
        deployment = make_deployment()
        captures = [make_capture(deployment=deployment) for _ in range(4)]
        capture_set = make_capture_set(captures, method="random", kwargs={"size": 2})

        assert capture_set.images.count() == 2

    @pytest.mark.parametrize(
        ("method", "message"),
        [
            ("manual", r"the method 'manual' needs 'image_ids' in its method parameters"),
            ("random", r"the method 'random' needs 'size' in its method parameters"),
            ("interval", "unknown method 'interval'\\. Known: manual, full, random"),
        ],
    )
    def test_method_that_cannot_choose_says_why(self, method: str, message: str) -> None:
        capture_set = SourceImageCollection.objects.create(
            project=make_project(), name="Set", method=method
        )

        with pytest.raises(ValueError, match=message):
            capture_set.populate_sample()

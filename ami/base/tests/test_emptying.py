import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType

from ami.base.tests.emptying import empty_tables
from ami.base.tests.factories import make_classification, make_user
from ami.jobs.tests.job_types import make_job


@pytest.mark.django_db(transaction=True)
def test_only_content_types_and_permissions_stay() -> None:
    make_user()
    classification = make_classification(job=make_job())
    make_classification(detection=classification.detection, applied_to=classification)

    empty_tables()

    held = {model for model in apps.get_models() if model._default_manager.exists()}
    assert held == {ContentType, Permission}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", [1, 2])
def test_test_that_commits_begins_with_empty_tables(turn: int) -> None:
    held = {model for model in apps.get_models() if model._default_manager.exists()}
    assert held == {ContentType, Permission}
    make_classification()

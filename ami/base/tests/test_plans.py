import pytest
from django.contrib.auth.models import Group
from django.db import connection

from ami.base.tests.plans import forget_statistics, planned_rows

pytestmark = pytest.mark.django_db


def test_no_test_starts_with_the_statistics_of_another() -> None:
    assert planned_rows(Group) == -1
    Group.objects.create(name="Reviewers")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE auth_group")
    assert planned_rows(Group) == 1
    forget_statistics()
    assert planned_rows(Group) == -1

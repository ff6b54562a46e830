"""The page that calibrates an algorithm."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_member, make_project
from ami.main.access import Role
from ami.ml.models import Calibration
from ami.review.tests.test_calibration import Planted

pytestmark = pytest.mark.django_db
URL = reverse("admin:ml_calibration_add")


def post(client: Client, planted: Planted, **fields: Any) -> Any:
    data = {
        "algorithm": planted.algorithm.pk,
        "project": planted.project.pk,
        "target": 0.9,
        "seed": 0,
    }
    return client.post(URL, data | fields, follow=True)


def test_an_operator_calibrates_in_their_own_name(client: Client) -> None:
    planted = Planted(200)
    operator = make_member(planted.project, Role.OPERATOR)
    client.force_login(operator)
    assert (
        f'value="{planted.algorithm.pk}" selected'
        in client.get(URL, {"algorithm": planted.algorithm.pk}).text
    )
    page = post(client, planted)
    assert "Stored 3 calibrations of" in page.text
    stored = Calibration.objects.all()
    assert {one.kind for one in stored} == {*Calibration.Kind.values} - {Calibration.Kind.LIMIT}
    assert {(one.author, one.target) for one in stored} == {(operator, 0.9)}
    assert LogEntry.objects.filter(user=operator).count() == 3
    page = post(client, planted)
    assert "3 calibrations were stored before with the same result; none was added." in page.text
    assert Calibration.objects.count() == 3
    assert "Stored 3 calibrations of" in post(client, planted, seed=1).text


def test_what_cannot_be_fitted_is_told(admin_client: Client) -> None:
    page = post(admin_client, Planted(60, with_logits=False))
    assert "Thresholds by rank:" in page.text
    assert Calibration.objects.count() == 1


def test_too_few_answers_are_refused_in_a_sentence(admin_client: Client) -> None:
    page = post(admin_client, Planted(20))
    assert "errornote" in page.text
    assert "independent answers" in page.text
    assert not Calibration.objects.exists()


@pytest.mark.parametrize(
    "fields", [{"target": "1.5"}, {"target": "x"}, {"seed": "-1"}, {"algorithm": "0"}]
)
def test_odd_input_is_refused(admin_client: Client, fields: dict[str, str]) -> None:
    page = post(admin_client, Planted(40), **fields)
    assert page.status_code == 200
    assert "Please correct the error below." in page.text


def test_foreign_projects_are_no_choice(client: Client) -> None:
    planted = Planted(60)
    client.force_login(make_member(make_project(), Role.OPERATOR))
    assert "Select a valid choice." in post(client, planted).text
    assert "This field is required." in post(client, planted, project="").text
    client.force_login(make_member(planted.project, Role.IDENTIFIER))
    assert post(client, planted).status_code == 403

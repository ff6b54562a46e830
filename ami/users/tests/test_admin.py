import pytest
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_user
from ami.users.models import User

pytestmark = pytest.mark.django_db


def test_a_user_is_added_by_e_mail_address(admin_client: Client) -> None:
    response = admin_client.post(
        reverse("admin:users_user_add"),
        {
            "email": "ada@example.org",
            "usable_password": "true",
            "password1": "correct horse battery",
            "password2": "correct horse battery",
        },
    )

    user = User.objects.get(email="ada@example.org")
    assert response.status_code == 302
    assert user.check_password("correct horse battery")


def test_users_are_found_by_address_and_name(admin_client: Client) -> None:
    user = make_user(email="ada@example.org", name="Ada Lovelace")

    for term in ("ada@", "lovelace", str(user.pk)):
        response = admin_client.get(reverse("admin:users_user_changelist"), {"q": term})
        assert list(response.context["cl"].result_list) == [user]


def test_the_page_of_a_user_opens(admin_client: Client) -> None:
    url = reverse("admin:users_user_change", args=[make_user().pk])

    assert admin_client.get(url).status_code == 200

import pytest
from django.test import Client

from ami.base.tests.factories import make_user
from ami.jobs.tests.conftest import broker_down, published
from ami.users.models import User

__all__ = ["broker_down", "published"]


@pytest.fixture
def operator(client: Client) -> User:
    user = make_user(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user

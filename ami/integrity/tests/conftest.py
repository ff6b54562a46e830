import pytest
from django.test import Client

from ami.base.tests.factories import make_user
from ami.jobs.tests.conftest import published

__all__ = ["published"]


@pytest.fixture
def operator(client: Client) -> Client:
    """Return the client of a superuser."""
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client

import pytest
from django.test import Client

from ami.base.tests.factories import make_user
from ami.jobs.tests.conftest import published
from ami.main.checks.tests.faults.occurrences import classified_and_undetermined
from ami.main.checks.tests.world import World, make_world

__all__ = ["published"]


@pytest.fixture
def operator(client: Client) -> Client:
    """Return the client of a superuser."""
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def world() -> World:
    """A world without faults but one: an occurrence with classifications and no determination."""
    world = make_world()
    classified_and_undetermined(world)
    return world

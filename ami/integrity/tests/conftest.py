import pytest

from ami.jobs.tests.conftest import published
from ami.main.checks.tests.faults.occurrences import classified_and_undetermined
from ami.main.checks.tests.world import World, make_world

__all__ = ["published"]


@pytest.fixture
def world() -> World:
    """A world without faults but one: an occurrence with classifications and no determination."""
    world = make_world()
    classified_and_undetermined(world)
    return world

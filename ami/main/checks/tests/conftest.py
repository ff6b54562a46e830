from copy import deepcopy

import pytest

from ami.main.checks.tests.world import World, make_world


@pytest.fixture(scope="module")
def worlds(module_db: None) -> list[World]:
    """Two worlds without faults, made once for all tests of a module that commits nothing."""
    return [make_world(), make_world()]


@pytest.fixture
def world(worlds: list[World]) -> World:
    return deepcopy(worlds[0])


@pytest.fixture
def other(worlds: list[World]) -> World:
    return deepcopy(worlds[1])

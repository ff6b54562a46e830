"""The demo project for tests in a browser, with pictures that are drawn once per session."""

from functools import cache

import pytest
from django.conf import settings
from django.core.management import call_command

from ami.main.management.demo.pictures import Frame, Studio
from ami.main.management.demo.story import Moth, tell_night


class Album:
    """Stands in for a studio: a night that was drawn before keeps its files."""

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def draw_night(self, moths: list[Moth], *, trap: int, night: int) -> list[Frame]:
        return _drawn(self.seed, trap, night, str(settings.MEDIA_ROOT))


_studio = cache(Studio)


@cache
def _drawn(seed: int, trap: int, night: int, folder: str) -> list[Frame]:
    moths = tell_night(seed=seed, trap=trap, night=night)
    return _studio(seed=seed).draw_night(moths, trap=trap, night=night)


def make_demo_project() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ami.main.management.demo.project.Studio", Album)
        call_command("create_demo_project", verbosity=0)

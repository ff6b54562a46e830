"""Imports of times: time zones, changes of the clocks, and years that no camera has seen."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError

from ami.base.tests.factories import make_project
from ami.exchange.tests.exports import make_example, make_record
from ami.exchange.tests.present import detection, occurrence
from ami.main.models import Deployment, Event, SourceImage

pytestmark = pytest.mark.django_db
Import = Callable[..., str]
UNTOLD = "is new and has the time zone UTC"


@pytest.fixture
def deployment() -> Deployment:
    project = make_project(name="Vermont")
    return Deployment.objects.create(project=project, name="Trap", time_zone="America/New_York")


@pytest.mark.parametrize(
    ("local", "stored"),
    [
        ("2022-11-06T01:30:00", datetime(2022, 11, 6, 5, 30, tzinfo=UTC)),  # occurs twice
        ("2022-03-13T02:30:00", datetime(2022, 3, 13, 7, 30, tzinfo=UTC)),  # does not occur
        ("2022-06-20T23:03:00", datetime(2022, 6, 21, 3, 3, tzinfo=UTC)),
    ],
)
@pytest.mark.usefixtures("deployment")
def test_a_local_time_is_the_same_in_every_import(
    import_export: Import, local: str, stored: datetime
) -> None:
    data = [occurrence(detections=[detection(timestamp=local)])]
    text = import_export(data)

    assert SourceImage.objects.get().timestamp == stored
    assert UNTOLD not in text
    assert "already contains all rows" in import_export(data)


def test_a_new_deployment_with_local_times_tells_its_time_zone(import_export: Import) -> None:
    text = import_export([occurrence()])

    assert (
        "  [0]: 'Trap' is new and has the time zone UTC, in which its times without a zone are "
        "read. If that is wrong, create the deployment with its time zone before the import.\n"
    ) in text
    assert UNTOLD not in import_export([occurrence()])


def test_times_with_a_zone_need_no_time_zone(import_export: Import) -> None:
    assert UNTOLD not in import_export([make_record(1)])


def test_a_deployment_in_another_case_is_told(import_export: Import) -> None:
    import_export([make_record(1)])
    text = import_export([make_record(1, deployment=" TRAP")])

    assert "[0]: 'TRAP' is new, although 'Trap' differs only in case or blanks." in text
    assert Deployment.objects.count() == 2


@pytest.mark.parametrize("year", ["0001", "9999"])
@pytest.mark.parametrize("zone", ["", "Z"])
@pytest.mark.usefixtures("deployment")
def test_years_at_the_ends_of_the_calendar_are_refused(
    import_export: Import, year: str, zone: str
) -> None:
    for day in ("01-01T00:00:00", "12-31T23:59:59"):
        with pytest.raises(CommandError, match="must be a time"):
            import_export([occurrence(detections=[detection(timestamp=f"{year}-{day}{zone}")])])


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_nights_at_the_ends_of_the_calendar_are_refused(import_export: Import, day: str) -> None:
    with pytest.raises(CommandError, match="must be a date"):
        import_export([make_record(1, event={"id": 1, "day": day}, examples=[make_example(1, 0)])])


@pytest.mark.parametrize("name", ["0001-01-01", "9999-12-31", "Dec 31, 9999"])
@pytest.mark.usefixtures("deployment")
def test_names_of_nights_without_a_plausible_date_tell_none(
    import_export: Import, name: str
) -> None:
    import_export([occurrence(event={"id": 1, "name": name})])

    assert str(SourceImage.objects.get().event) == "2022-06-20"


def test_a_capture_that_exists_brings_no_other_night(import_export: Import) -> None:
    """Its night stays, so the one of the file would have no captures."""
    import_export([make_record(1, captures=1)])
    other = make_record(1, captures=1, event={"id": 1, "day": "2021-01-01T00:00:00.000"})
    text = import_export([other])

    assert "is more than a day away from the night of 2021-01-01" in text
    assert Event.objects.count() == 1

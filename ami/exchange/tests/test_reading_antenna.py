"""What the files of Antenna have in common."""

from datetime import date, datetime

import pytest

from ami.exchange.reading.antenna import lasting, night_of, time_in_name


@pytest.mark.parametrize(
    ("label", "night"),
    [
        ("Jun 20-21, 2022", "2022-06-20"),
        ("Monday, Jun 20, 2022", "2022-06-20"),
        ("Jun 20 2022", "2022-06-20"),
        ("Jun 30-Jul 1, 2022", "2022-06-30"),
        ("June 30 \N{EN DASH} July 1, 2022", "2022-06-30"),
        ("Dec 31-1, 2023", "2022-12-31"),
        ("Dec 31, 2022 - Jan 1, 2023", "2022-12-31"),
        ("2022-06-20", "2022-06-20"),
        ("Trap 7: 2022-06-20", "2022-06-20"),
        ("Feb 30, 2022", None),
        ("2022-99-99", None),
        ("Jun 20", None),
        ("Night 7", None),
        ("", None),
        (None, None),
    ],
)
def test_the_first_day_in_the_name_of_a_night_is_its_date(
    label: str | None, night: str | None
) -> None:
    assert night_of(label, None) == (night and date.fromisoformat(night))


def test_a_night_whose_first_day_has_only_its_morning_has_no_date() -> None:
    morning = datetime(2022, 6, 21, 0, 30)

    assert night_of("Jun 21, 2022", morning) is None
    assert night_of("Jun 20-21, 2022", morning) == date(2022, 6, 20)


@pytest.mark.parametrize(
    ("path", "time"),
    [
        ("a/20220810231507-00-07.jpg", "2022-08-10 23:15:07"),
        ("https://x.org/84-20220916202959-snapshot.jpg", "2022-09-16 20:29:59"),
        ("20220810231507/a.jpg", None),
        ("20221310231507.jpg", None),
        ("920220810231507.jpg", None),
        ("", None),
    ],
)
def test_a_file_name_may_tell_a_time(path: str, time: str | None) -> None:
    assert time_in_name(path) == (time and datetime.fromisoformat(time))


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://x.org/a.jpg?X-Amz-Date=1&X-Amz-Signature=f00", "https://x.org/a.jpg"),
        ("https://x.org/a.jpg?AWSAccessKeyId=1&Signature=a%3D&Expires=2", "https://x.org/a.jpg"),
        ("https://x.org/show?image=7", "https://x.org/show?image=7"),
        ("trap/a.jpg", "trap/a.jpg"),
    ],
)
def test_a_signature_that_expires_is_no_part_of_an_address(address: str, kept: str) -> None:
    assert lasting(address) == kept

"""Intervals for what a sample tells of all rows."""

from math import ceil, floor, sqrt
from typing import NamedTuple

Z = 1.959963984540054  # 95 %


class Interval(NamedTuple):
    """A number of rows: exact if both ends are equal, otherwise between the two."""

    low: int
    high: int

    def plus(self, number: int) -> "Interval":
        return Interval(self.low + number, self.high + number)

    def __str__(self) -> str:
        return f"{self.low:,}" if self.low == self.high else f"{self.low:,} to {self.high:,}"


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of Wilson for a share that was seen in `n` draws."""
    denominator = 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / denominator
    half = Z / denominator * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def extrapolated(number: int, *, rows: int, units: int, total: int) -> Interval:
    """How many of `total` rows count, if `number` of the `rows` in a random sample of `units` do.

    The rows of a unit may all be alike, so the sample counts as one of `units` draws. A row may be
    counted more than once; the share is then that of the most that can be counted.
    """
    if not units:
        return Interval(0, total)
    times = max(1, -(-number // rows))
    low, high = wilson(number / (times * rows), units)
    return Interval(max(number, floor(low * times * total)), ceil(high * times * total))

"""Arguments that several commands of the review take."""

from argparse import ArgumentTypeError

from ami.base.commands import whole_number
from ami.review.drawing import HIGHEST_SEED


def seed_number(text: str) -> int:
    """Raises ArgumentTypeError if a column cannot store the number."""
    number = whole_number(text)
    if not 0 <= number <= HIGHEST_SEED:
        raise ArgumentTypeError(f"must be from 0 to {HIGHEST_SEED}, got {text[:50]}")
    return number

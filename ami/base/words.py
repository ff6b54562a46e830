"""Words in messages."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with the noun, in the singular or the plural: "1 row", "2,000 rows"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"

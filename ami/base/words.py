"""Words in messages."""

from typing import Any


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with the noun, in the singular or the plural: "1 row", "2,000 rows"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def in_words(value: Any) -> str:
    """Write a value of JSON as people do: "yes", "0.25", "species 0.8, genus 0.6"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{str(key).lower()} {in_words(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)

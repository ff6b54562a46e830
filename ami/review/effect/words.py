"""The effect of a run in words, and as JSON."""

from dataclasses import fields, is_dataclass
from typing import Any

from ami.base.words import counted
from ami.review.effect.report import Effect, Summary

COLUMNS = {"independent": "Independent answers", "all_answers": "All answers"}


def p_value(p: float) -> str:
    """Return a p-value as it is printed: "p = .009", "p < .001"."""
    if p < 0.001:
        return "p < .001"
    return f"p = {p:.2f}".replace("0.", ".") if p >= 0.1 else f"p = {p:.3f}".replace("0.", ".")


def sentence(effect: Effect) -> str:
    """Return the effect in one sentence, against the independent answers if there are any."""
    if not effect.identified:
        return "Nobody has identified an occurrence of its scope, so the effect is not known."
    if effect.independent.identified:
        return _told(effect.independent, "independently identified occurrence")
    return (
        f"{_told(effect.all_answers, 'identified occurrence')} Each of these people saw a "
        "name first, so their answers say little about the effect."
    )


def _told(summary: Summary, noun: str) -> str:
    moved = summary.moved
    told = []
    if moved.corrected or moved.regressed:
        change = f"{moved.corrected:,} corrected, {moved.regressed:,} regressed"
        told = [f"{change} ({p_value(summary.p)})"]
    told += [
        f"{number:,} {words}"
        for number, words in (
            (moved.coarsened, "coarsened"),
            (moved.sharpened, "sharpened"),
            (moved.silenced, f"lost their name ({moved.silenced_right:,} were right)"),
            (moved.named, f"got a name ({moved.named_right:,} are right)"),
            (moved.unchanged, "unchanged"),
        )
        if number
    ]
    return f"Of {counted(summary.identified, noun)}: {'; '.join(told)}."


def as_json(value: Any) -> Any:
    """Return dataclasses and named tuples as mappings, by the names of their fields."""
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):
        return {name: as_json(one) for name, one in value._asdict().items()}
    return [as_json(one) for one in value] if isinstance(value, list) else value

"""The result of a check."""

from dataclasses import dataclass, field

SAMPLES = 100


@dataclass
class IntegrityCheckResult:
    """The numbers of faulty rows (`checked`), and of repaired and unfixable ones.

    `reasons` maps the ids of the first 100 unfixable rows to a sentence.
    """

    checked: int = 0
    fixed: int = 0
    unfixable: int = 0
    reasons: dict[int, str] = field(default_factory=dict, compare=False, repr=False)

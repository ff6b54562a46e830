"""What a check answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field

SAMPLES = 100


@dataclass
class IntegrityCheckResult:
    """What became of the rows at fault. `checked` is how many there were.

    `reasons` says, for the first 100 of the unfixable ones, why: id → sentence.
    """

    checked: int = 0
    fixed: int = 0
    unfixable: int = 0
    reasons: dict[int, str] = field(default_factory=dict, compare=False, repr=False)

    def leave(self, ids: Iterable[int], reason: str) -> None:
        for pk in ids:
            self.unfixable += 1
            if len(self.reasons) < SAMPLES:
                self.reasons[pk] = reason

"""The counts of what a chaos session did, by test."""

import os
from collections import Counter, defaultdict
from collections.abc import Set

DONE: defaultdict[str, Counter[str]] = defaultdict(Counter)


def note(what: str) -> None:
    """Count one deed of the present test."""
    DONE[what][present_test()] += 1


def present_test() -> str:
    """The id of the running test, without the name of its phase."""
    return os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]


def table(failed: Set[str]) -> list[str]:
    """One line for each kind of deed: how often, in how many tests, and how many of them failed."""
    width = max(map(len, DONE), default=0)
    lines = [f"{'what was done':{width}}  times  tests  failed"]
    for what, tests in sorted(DONE.items()):
        lines.append(
            f"{what:{width}}  {tests.total():5}  {len(tests):5}  {len(failed & tests.keys()):6}"
        )
    return lines

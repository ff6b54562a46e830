"""Reference implementations of masking and rollup in plain Python, one label at a time."""

from collections.abc import Collection, Mapping, Sequence
from math import exp
from typing import NamedTuple

FINEST_FIRST = (
    "FORM", "VARIETY", "SUBSPECIES", "SPECIES", "GENUS", "SUBTRIBE", "TRIBE", "SUBFAMILY", "FAMILY",
    "SUPERFAMILY", "ORDER", "CLASS", "PHYLUM", "KINGDOM", "UNKNOWN",
)  # fmt: skip


class Name(NamedTuple):
    """A taxon; its parent and its accepted taxon are given by their position in the tree."""

    rank: str
    parent: int | None
    synonym_of: int | None
    key: int | None = None
    search_names: tuple[str, ...] = ()


class Label(NamedTuple):
    """A class of a classifier."""

    text: str
    key: int | None = None


class Masked(NamedTuple):
    scores: list[float]
    winner: int
    removed: float


Tree = Sequence[Name]


def name_of(number: int) -> str:
    return f"taxon {number}"


def accepted(tree: Tree, number: int) -> int:
    """The accepted taxon at the end of a chain of synonyms; the taxon itself in a loop."""
    seen = [number]
    while (following := tree[seen[-1]].synonym_of) is not None:
        if following in seen:
            return number
        seen.append(following)
    return seen[-1]


def resolve(tree: Tree, label: Label) -> int | None:
    """Resolve by name, then key, then search name; accepted taxa first, then the oldest one."""
    everyone = sorted(range(len(tree)), key=lambda n: (tree[n].synonym_of is not None, n))
    for found in (
        [n for n in everyone if name_of(n) == label.text],
        [n for n in everyone if label.key is not None and tree[n].key == label.key],
        [n for n in everyone if label.text in tree[n].search_names],
    ):
        if found:
            return accepted(tree, found[0])
    return None


def lineage(tree: Tree, label: Label) -> list[int]:
    """The taxon of the label and its ancestors, nearest first."""
    line: list[int] = []
    number = resolve(tree, label)
    while number is not None and number not in line:
        line.append(number)
        number = tree[number].parent
    return line


def stays(tree: Tree, label: Label, listed: Collection[int]) -> bool:
    on_list = {*listed, *(accepted(tree, number) for number in listed)}
    return any(number in on_list for number in lineage(tree, label))


def plain_softmax(logits: Sequence[float]) -> list[float]:
    largest = max(logits)
    powers = [exp(logit - largest) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def mask(logits: Sequence[float], kept: Sequence[bool], *, reweight: bool) -> Masked:
    full = plain_softmax(logits)
    inside = [logit for logit, stay in zip(logits, kept, strict=True) if stay]
    alone = iter(plain_softmax(inside))
    scores = [
        (next(alone) if reweight else share) if stay else 0.0
        for share, stay in zip(full, kept, strict=True)
    ]
    winner = next(n for n, stay in enumerate(kept) if stay and logits[n] == max(inside))
    removed = sum(share for share, stay in zip(full, kept, strict=True) if not stay)
    return Masked(scores, winner, removed)


def roll_up(
    tree: Tree,
    labels: Sequence[Label],
    shares: Sequence[float],
    thresholds: Mapping[str, float],
    *,
    constrained: bool,
) -> tuple[int, float] | None:
    """The number and score of the result; None if no rank reaches its threshold."""
    lines = [lineage(tree, label) for label in labels]
    top = lines[max(range(len(shares)), key=lambda place: (shares[place], -place))]
    for rank in filter(thresholds.__contains__, FINEST_FIRST):
        sums: dict[int, float] = {}
        for line, share in zip(lines, shares, strict=True):
            number = _at_rank(tree, line, rank)
            if number is not None:
                sums[number] = sums.get(number, 0.0) + share
        if constrained:
            above = _at_rank(tree, top, rank)
            sums = {number: total for number, total in sums.items() if number == above}
        rounded = {number: round(total, 12) for number, total in sums.items()}
        best = max(rounded, key=rounded.__getitem__, default=None)  # the first of equal ones
        if best is not None and rounded[best] >= thresholds[rank]:
            return best, rounded[best]
    return None


def _at_rank(tree: Tree, line: Sequence[int], rank: str) -> int | None:
    return next((number for number in line if tree[number].rank == rank), None)

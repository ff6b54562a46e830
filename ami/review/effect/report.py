"""The effect of Jobs on the names of occurrences that people have identified."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ami.jobs.models import Job
from ami.main.models import Taxon, TaxonRank
from ami.review.effect.machine import Names, names_of
from ami.review.effect.outcomes import NONE, Judge, Outcome, Pairs
from ami.review.statistics.hierarchy import HierarchicalScores, hierarchical_scores
from ami.review.statistics.paired import Difference, bootstrap_mean, mcnemar, paired_difference
from ami.review.statistics.shares import Estimate, estimate

BANDS = 10
SEED = 1  # of the bootstrap, so that a page shows the same interval each time
TAXA = 50
RANKS = [rank for rank in TaxonRank.values if rank != TaxonRank.UNKNOWN]


class Moved(NamedTuple):
    """How many occurrences went where. Each occurrence is counted once.

    `corrected`: a wrong name became a right one, exact or an ancestor. `regressed`: the reverse.
    `coarsened`: exact became an ancestor. `sharpened`: the reverse. `silenced`: a name became none,
    and of these, `silenced_right` were right. `named`: none became a name, of which
    `named_right` are right.
    """

    corrected: int
    regressed: int
    coarsened: int
    sharpened: int
    silenced: int
    silenced_right: int
    named: int
    named_right: int
    unchanged: int


class Scores(NamedTuple):
    """How good the names are on one side of the run.

    `coverage` is the share of occurrences that have a name, and `accuracy` the share of these whose
    name is right, exact or an ancestor; None if there are none. `exact` is the share that is exact.
    """

    coverage: Estimate | None
    accuracy: Estimate | None
    exact: Estimate | None
    hierarchical: HierarchicalScores


class Class(NamedTuple):
    """Precision and recall of one rank or taxon; None if nothing was so called, or is so."""

    label: str
    precision: Estimate | None
    recall: Estimate | None


class Compared(NamedTuple):
    """The same rank or taxon before and after."""

    before: Class
    after: Class


class Sides(NamedTuple):
    """Names with the truth, before and after."""

    before: Pairs
    after: Pairs


class Band(NamedTuple):
    """What happened to the occurrences whose score before the run was in a band; `low` is None
    for those without a score."""

    low: float | None
    high: float | None
    occurrences: int
    moved: Moved


@dataclass(frozen=True)
class Summary:
    """The effect on some identified occurrences.

    `changed` is the share that got another name; None if there are none. `table` counts all by
    their outcome before (rows) and after (columns), in the order of `Outcome`. `p` is the exact
    test of McNemar on corrected and regressed ones, and `difference` that of the share right, with
    Newcombe's interval; both leave out occurrences without a name on one side. `by_night` is the
    same difference with a bootstrap of whole nights, and None with fewer than two nights.
    """

    identified: int
    changed: Estimate | None
    table: list[list[int]]
    moved: Moved
    p: float
    difference: Difference | None
    by_night: Difference | None
    before: Scores
    after: Scores
    ranks: list[Compared]
    taxa: list[Compared]
    bands: list[Band]


@dataclass(frozen=True)
class Effect:
    """The effect against all answers, and against the independent ones only."""

    identified: int
    all_answers: Summary
    independent: Summary


def unknown(job: Job) -> str | None:
    """Why the effect of a Job cannot be told; None if it can."""
    if job.pruned_at:
        return (
            f"The journal of Job {job.pk} was deleted on {job.pruned_at:%Y-%m-%d}, so its effect "
            "cannot be told. Run it again as a dry run to compare."
        )
    return None if job.is_final else f"Job {job.pk} has not ended: wait for its end."


def effect_of(jobs: Sequence[Job]) -> Effect:
    """Compare the names before and after these Jobs with the identifications of people.

    The Jobs are in the order in which they ran. Dry runs are compared as if they had been applied.
    """
    return effect(names_of(jobs))


def effect(names: Names) -> Effect:
    """Compare the names before and after with what people say."""
    said = np.concatenate([names.truth, names.independent, names.before, names.after])
    judge = Judge(np.unique(said).tolist())
    taxa = Taxon.objects.filter(pk__in=judge.taxonomy, identifiable=True)
    labels = dict(taxa.values_list("pk", "name"))
    return Effect(
        identified=len(names.truth),
        all_answers=summary(names, names.truth, judge, labels),
        independent=summary(names, names.independent, judge, labels),
    )


def summary(
    names: Names, truth: NDArray[np.int64], judge: Judge, labels: dict[int, str]
) -> Summary:
    """Summarize the occurrences with a truth; `truth` has one taxon id per name, 0 for none."""
    known = truth != NONE
    names, truth = Names(*(column[known] for column in names)), truth[known]
    pairs = Sides(Pairs.of(names.before, truth), Pairs.of(names.after, truth))
    before, after = (judge.outcomes(side) for side in pairs)
    table = table_of(before, after)
    moved = moved_in(table)
    return Summary(
        identified=len(truth),
        changed=share(int((names.before != names.after).sum()), len(truth)),
        table=table.tolist(),
        moved=moved,
        p=mcnemar(moved.regressed, moved.corrected),
        difference=_difference(table),
        by_night=_by_night(before, after, names.nights),
        before=_scores(pairs.before, before, judge),
        after=_scores(pairs.after, after, judge),
        ranks=_by_rank(pairs, judge),
        taxa=_by_taxon(pairs, judge, labels),
        bands=_by_band(names.score, before, after),
    )


def table_of(before: NDArray[np.int8], after: NDArray[np.int8]) -> NDArray[np.int64]:
    """Count the pairs of outcomes: 4 x 4, the outcomes before as rows."""
    size = len(Outcome)
    flat = before.astype(np.int64) * size + after
    return np.bincount(flat, minlength=size * size).reshape(size, size)


def moved_in(table: NDArray[np.int64]) -> Moved:
    """Sum the cells of the table of outcomes."""
    exact, ancestor, wrong, none = Outcome
    right, named = [exact, ancestor], [exact, ancestor, wrong]
    return Moved(
        corrected=int(table[wrong, right].sum()),
        regressed=int(table[right, wrong].sum()),
        coarsened=int(table[exact, ancestor]),
        sharpened=int(table[ancestor, exact]),
        silenced=int(table[named, none].sum()),
        silenced_right=int(table[right, none].sum()),
        named=int(table[none, named].sum()),
        named_right=int(table[none, right].sum()),
        unchanged=int(np.trace(table)),
    )


def _difference(table: NDArray[np.int64]) -> Difference | None:
    right = [Outcome.EXACT, Outcome.ANCESTOR]
    cells = {
        "both_right": int(table[np.ix_(right, right)].sum()),
        "corrected": int(table[Outcome.WRONG, right].sum()),
        "regressed": int(table[right, Outcome.WRONG].sum()),
        "both_wrong": int(table[Outcome.WRONG, Outcome.WRONG]),
    }
    return paired_difference(**cells) if sum(cells.values()) else None


def _by_night(
    before: NDArray[np.int8], after: NDArray[np.int8], nights: NDArray[np.int64]
) -> Difference | None:
    named = (before != Outcome.NO_NAME) & (after != Outcome.NO_NAME)
    gained = (before == Outcome.WRONG).astype(int) - (after == Outcome.WRONG)
    return bootstrap_mean(gained[named], nights[named], seed=SEED)


def share(part: int, whole: int) -> Estimate | None:
    """The estimate of a share; None of nothing."""
    return estimate(part, whole) if whole else None


def _scores(pairs: Pairs, outcomes: NDArray[np.int8], judge: Judge) -> Scores:
    counts = np.bincount(outcomes, minlength=len(Outcome))
    named = int(counts[:3].sum())
    compared: Counter[tuple[int, int]] = Counter()
    for name, truth, number in pairs.items():
        compared[judge.compared(name, truth), judge.lineage(truth)[0]] += number
    lineages = {taxon: judge.lineage(taxon) for pair in compared for taxon in pair}
    return Scores(
        coverage=share(named, len(outcomes)),
        accuracy=share(int(counts[:2].sum()), named),
        exact=share(int(counts[Outcome.EXACT]), named),
        hierarchical=hierarchical_scores(compared, lineages),
    )


class _Tally:
    """Counts for precision and recall: so called, so called rightly, and so in truth."""

    def __init__(self) -> None:
        self.called: Counter[object] = Counter()
        self.right: Counter[object] = Counter()
        self.true: Counter[object] = Counter()

    def of(self, key: object, label: str) -> Class:
        return Class(
            label,
            share(self.right[key], self.called[key]),
            share(self.right[key], self.true[key]),
        )


def _by_rank(pairs: Sides, judge: Judge) -> list[Compared]:
    """At each rank, truths of that rank or a finer one; coarser names are not found there."""
    before, after = (_ranks(side, judge) for side in pairs)
    return [
        Compared(before.of(rank, rank.capitalize()), after.of(rank, rank.capitalize()))
        for rank in RANKS
        if before.true[rank]
    ]


def _ranks(pairs: Pairs, judge: Judge) -> _Tally:
    tally = _Tally()
    for name, truth, number in pairs.items():
        said = {judge.taxonomy[pk].rank: pk for pk in judge.lineage(truth)}
        called = {judge.taxonomy[pk].rank: pk for pk in judge.lineage(name)}
        for rank, taxon in said.items():
            tally.true[rank] += number
            tally.called[rank] += number * (rank in called)
            tally.right[rank] += number * (called.get(rank) == taxon)
    return tally


def _by_taxon(pairs: Sides, judge: Judge, labels: dict[int, str]) -> list[Compared]:
    """The most frequent taxa that people name or names had; finer names count as the truth.

    `labels` are the names of all taxa that stand for a species or a group of them.
    """
    before, after = (_taxa(side, judge) for side in pairs)
    most = (before.true | before.called | after.called).most_common()
    return [
        Compared(*(side.of(taxon, labels[taxon]) for side in (before, after)))
        for taxon, _ in most
        if taxon in labels
    ][:TAXA]


def _taxa(pairs: Pairs, judge: Judge) -> _Tally:
    tally = _Tally()
    for name, truth, number in pairs.items():
        said, called = judge.lineage(truth)[0], judge.compared(name, truth)
        tally.true[said] += number
        if called != NONE:
            tally.called[called] += number
            tally.right[called] += number * (called == said)
    return tally


def _by_band(
    score: NDArray[np.float64], before: NDArray[np.int8], after: NDArray[np.int8]
) -> list[Band]:
    band = np.where(np.isnan(score), BANDS, np.clip(score * BANDS, 0, BANDS - 1)).astype(int)
    found = []
    for number in range(BANDS + 1):
        inside = band == number
        if rows := int(inside.sum()):
            is_none = number == BANDS
            low, high = (None, None) if is_none else (number / BANDS, (number + 1) / BANDS)
            moved = moved_in(table_of(before[inside], after[inside]))
            found.append(Band(low, high, rows, moved))
    return found

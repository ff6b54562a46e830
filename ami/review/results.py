"""What the answers about a sample tell of all the occurrences that it was drawn from."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

from ami.jobs.models import Job
from ami.review.models import Judgement, Sample
from ami.review.readings import Reading, read
from ami.review.statistics.agreement import agreement_table, kappa
from ami.review.statistics.shares import (
    Estimate,
    estimate,
    estimates_by,
    finite_interval,
    no_error_words,
)
from ami.review.statistics.strata import Stratum, stratified_confusion, stratified_share
from ami.review.strata import band_name, band_of

Verdict = Judgement.Verdict

LARGE = 0.05  # the share of the population from which its finite size matters
NO_RUN = "No run"
NO_TAXON = "no taxon"
NOT_NAMED = "no other name"
WRONG = object()


class Group(NamedTuple):
    """Some items that were judged right or wrong, such as those of one taxon."""

    name: str
    right: int
    estimate: Estimate


class StratumResult(NamedTuple):
    """A stratum; its estimate is None if no item of it was judged right or wrong."""

    name: str
    population: int
    right: int
    estimate: Estimate | None


class Reader(NamedTuple):
    """What one person has answered, and when; `seconds` is the median per item."""

    name: str
    answers: int
    first: datetime
    last: datetime
    seconds: float | None


class Agreement(NamedTuple):
    """How often the first two readers of an item gave the same answer."""

    items: int
    same: int
    kappa: float | None


class Renamed(NamedTuple):
    """A name that was wrong, and the one that the person gave instead."""

    name: str
    instead: str
    items: int


@dataclass(frozen=True)
class Result:
    """The result of a sample, as far as it was answered.

    `share` is None until an item was judged right or wrong. Its interval is that of `total`, if the
    sample is a large part of the population. `covered` is the share of the
    population whose strata have such an item. `total` is the interval of the number of right
    occurrences among the `tellable` ones, if the sample is a large part of them.
    """

    sample: Sample
    items: int
    verdicts: dict[str, int]
    share: Estimate | None
    covered: float
    total: tuple[int, int] | None
    tellable: int
    strata: list[StratumResult]
    by_taxon: list[Group]
    by_score: list[Group]
    by_run: list[Group]
    agreement: Agreement | None
    readers: list[Reader]
    renamed: list[Renamed]

    @property
    def right(self) -> int:
        return self.verdicts[Verdict.RIGHT]

    @property
    def judged(self) -> int:
        """The items that were judged right or wrong."""
        return self.right + self.verdicts[Verdict.WRONG]

    @property
    def answered(self) -> int:
        return self.judged + self.verdicts[Verdict.CANNOT_TELL]

    @property
    def skipped(self) -> int:
        return self.verdicts[Verdict.SKIPPED]

    @property
    def is_complete(self) -> bool:
        return self.answered == self.items

    @property
    def no_error(self) -> str:
        """What to conclude if no error was seen, in words; "" otherwise."""
        if not self.judged or self.right < self.judged or self.sample.strata:
            return ""
        if self.judged == self.tellable:  # the whole population
            return ""
        return no_error_words(self.judged)


def result_of(sample: Sample) -> Result:
    """Compute the result of a sample, in a constant number of queries."""
    readings = read(sample)
    judged = [one for one in readings if one.verdict in {Verdict.RIGHT, Verdict.WRONG}]
    verdicts = Counter(one.verdict for one in readings)
    strata = _strata(sample, judged)
    tellable = _tellable(sample, len(judged), verdicts[Verdict.CANNOT_TELL])
    covered = [one for one in strata if one.estimate]
    total = None if strata else _total(judged, tellable)
    return Result(
        sample=sample,
        items=len(readings),
        verdicts={verdict: verdicts[verdict] for verdict in Verdict.values},
        share=_of_total(_share(judged, covered), total, tellable),
        covered=sum(one.population for one in covered) / sample.population if strata else 1.0,
        total=total,
        tellable=tellable,
        strata=strata,
        by_taxon=_groups(sample, judged, lambda one: one.item.taxon or NO_TAXON),
        by_score=_by_score(sample, judged),
        by_run=_by_run(sample, judged),
        agreement=_agreement(readings),
        readers=_readers(readings),
        renamed=_renamed(judged),
    )


def is_right(reading: Reading) -> bool:
    return reading.verdict == Verdict.RIGHT


def _share(judged: Sequence[Reading], covered: Sequence[StratumResult]) -> Estimate | None:
    if not judged:
        return None
    if not covered:
        return estimate(sum(map(is_right, judged)), len(judged))
    return stratified_share(
        [Stratum(one.population, one.estimate.n, one.right) for one in covered if one.estimate]
    )


def _strata(sample: Sample, judged: Sequence[Reading]) -> list[StratumResult]:
    drawn = Counter(one.item.stratum for one in judged)
    right = Counter(one.item.stratum for one in judged if is_right(one))
    return [
        StratumResult(
            stratum["name"],
            stratum["population"],
            right[number],
            estimate(right[number], drawn[number]) if drawn[number] else None,
        )
        for number, stratum in enumerate(sample.populations)
    ]


def _tellable(sample: Sample, judged: int, cannot_tell: int) -> int:
    """How many occurrences of the population can be judged, as far as the answers tell."""
    if not cannot_tell:
        return sample.population
    return max(judged, round(sample.population * judged / (judged + cannot_tell)))


def _total(judged: Sequence[Reading], tellable: int) -> tuple[int, int] | None:
    if not judged or len(judged) < LARGE * tellable:
        return None
    return finite_interval(sum(map(is_right, judged)), len(judged), tellable)


def _of_total(
    share: Estimate | None, total: tuple[int, int] | None, tellable: int
) -> Estimate | None:
    """Give the share the exact interval of the finite population, if that is known."""
    if share is None or total is None:
        return share
    return share._replace(low=total[0] / tellable, high=total[1] / tellable)


def _groups(
    sample: Sample, judged: Sequence[Reading], group_of: Callable[[Reading], Hashable]
) -> list[Group]:
    """Estimate the share right of each group, the largest first.

    A group of a stratified sample may have items from several strata, which count by their sizes.
    """
    labels = [group_of(one) for one in judged]
    found: dict[Any, Estimate | None]
    if not sample.populations or not judged:
        found = dict(estimates_by(labels, map(is_right, judged)))
    else:
        numbers = [one.item.stratum for one in judged]
        sizes = {number: sample.populations[number]["population"] for number in numbers}
        true = [
            label if is_right(one) else WRONG for label, one in zip(labels, judged, strict=True)
        ]
        users = stratified_confusion(numbers, labels, true, sizes=sizes).users
        found = {label: share for label, share in users.items() if label is not WRONG}
    right = Counter(label for label, one in zip(labels, judged, strict=True) if is_right(one))
    groups = [
        Group(str(label), right[label], share)
        for label, share in found.items()
        if share is not None
    ]
    return sorted(groups, key=lambda group: (-group.estimate.n, group.name))


def _by_score(sample: Sample, judged: Sequence[Reading]) -> list[Group]:
    names = {band_name(band): band for band in {band_of(one.item.score) for one in judged}}
    groups = _groups(sample, judged, lambda one: band_name(band_of(one.item.score)))
    return sorted(groups, key=lambda group: names[group.name])


def _by_run(sample: Sample, judged: Sequence[Reading]) -> list[Group]:
    jobs = Job.objects.in_bulk({one.item.run for one in judged if one.item.run})

    def run_of(reading: Reading) -> str:
        pk = reading.item.run
        if pk is None:
            return NO_RUN
        return f"Job {pk}: {jobs[pk].name}" if pk in jobs else f"Job {pk}"

    return _groups(sample, judged, run_of)


def _agreement(readings: Sequence[Reading]) -> Agreement | None:
    told = [[one for one in reading.answers if not one.is_skipped] for reading in readings]
    pairs = [(answers[0].verdict, answers[1].verdict) for answers in told if len(answers) > 1]
    if not pairs:
        return None
    first, second = zip(*pairs, strict=True)
    same = sum(one == other for one, other in pairs)
    return Agreement(len(pairs), same, kappa(agreement_table(first, second)[1]))


def _readers(readings: Sequence[Reading]) -> list[Reader]:
    by_person: dict[int | None, list[Any]] = {}
    for answer in (one for reading in readings for one in reading.answers):
        by_person.setdefault(answer.user_id, []).append(answer)
    readers = []
    for answers in by_person.values():
        times = [answer.created_at for answer in answers]
        seconds = [answer.seconds for answer in answers if answer.seconds is not None]
        given = sum(not answer.is_skipped for answer in answers)
        readers.append(
            Reader(
                answers[0].reader,
                given,
                min(times),
                max(times),
                median(seconds) if seconds else None,
            )
        )
    return sorted(readers, key=lambda reader: (-reader.answers, reader.name))


def _renamed(judged: Sequence[Reading]) -> list[Renamed]:
    pairs = Counter(
        (one.item.taxon or NO_TAXON, one.decisive.taxon or NOT_NAMED)
        for one in judged
        if not is_right(one) and one.decisive
    )
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Renamed(name, instead, items) for (name, instead), items in ordered]

"""The result of a sample in sentences and as JSON, for its page and its command."""

from collections.abc import Iterator, Sequence
from typing import Any

from ami.base.words import counted
from ami.review.models import Judgement
from ami.review.results import Group, Result
from ami.review.statistics.shares import Estimate

Verdict = Judgement.Verdict


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def interval(estimate: Estimate) -> str:
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def headline(result: Result) -> str:
    """Return the share right with its interval, in one sentence."""
    if result.share is None:
        return "No occurrence was judged right or wrong yet."
    share = f"{percent(result.share.share)} right (95 % interval: {interval(result.share)})."
    how = "weighted by the sizes of the strata" if result.strata else ""
    judged = f"{result.right:,} of {result.judged:,} judged occurrences are right"
    return f"{share} {judged}{f'; the share is {how}' if how else ''}."


def notes(result: Result) -> Iterator[str]:
    """Yield what else the answers tell, and what limits them."""
    if not result.is_complete:
        yield _early(result)
    if result.no_error:
        yield f"No error was seen. {result.no_error}."
    if result.total:
        low, high = result.total
        all_rows = f"all {counted(result.tellable, 'occurrence')}"
        if result.tellable < result.sample.population:
            all_rows = f"about {result.tellable:,} occurrences that can be judged"
        yield f"Of {all_rows}, {f'{low:,}' if low == high else f'{low:,} to {high:,}'} are right."
    if 0 < result.covered < 1:
        missing = [stratum for stratum in result.strata if stratum.estimate is None]
        yield (
            f"{len(missing)} of {len(result.strata)} strata have no judged occurrence. The share "
            f"speaks for the others: {percent(result.covered)} of the population."
        )
    if cannot_tell := result.verdicts[Verdict.CANNOT_TELL]:
        share = percent(cannot_tell / result.answered)
        yield (
            f"For {cannot_tell:,} of {counted(result.answered, 'answered occurrence')} ({share}), "
            "the answer is “cannot tell”. They are neither right nor wrong, and not in the share."
        )
    if result.skipped:
        yield (
            f"{counted(result.skipped, 'occurrence was', 'occurrences were')} skipped and not "
            "answered. If people skip difficult ones, the share right may be lower."
        )
    if result.agreement:
        yield _agreement(result)


def as_json(result: Result) -> dict[str, Any]:
    """Return what `manage.py review_result --format json` writes."""
    agreement, total = result.agreement, result.total
    return {
        "sample": result.sample.pk,
        "name": result.sample.name,
        "population": result.sample.population,
        "items": result.items,
        "answered": result.answered,
        "verdicts": result.verdicts,
        "share": _share(result.share),
        "covered": result.covered,
        "right_in_all": {"low": total[0], "high": total[1], "of": result.tellable}
        if total
        else None,
        "strata": [
            {
                "name": one.name,
                "population": one.population,
                "right": one.right,
                "share": _share(one.estimate),
            }
            for one in result.strata
        ],
        "by_taxon": _groups(result.by_taxon),
        "by_score": _groups(result.by_score),
        "by_run": _groups(result.by_run),
        "agreement": agreement._asdict() if agreement else None,
        "readers": [
            one._asdict() | {"first": one.first.isoformat(), "last": one.last.isoformat()}
            for one in result.readers
        ],
        "renamed": [one._asdict() for one in result.renamed],
        "sentences": [headline(result), *notes(result)],
    }


def _groups(groups: Sequence[Group]) -> list[dict[str, Any]]:
    return [{"name": one.name, "right": one.right, "share": _share(one.estimate)} for one in groups]


def _share(estimate: Estimate | None) -> dict[str, Any] | None:
    return estimate and {
        "share": estimate.share,
        "low": estimate.low,
        "high": estimate.high,
        "judged": estimate.n,
        "too_few": estimate.too_few,
    }


def _early(result: Result) -> str:
    said = f"{result.answered:,} of {counted(result.items, 'item')} answered"
    if not result.answered:
        return f"{said}."
    return (
        f"{said}. The items are in random order, so these are a fair sample, too; only the "
        "interval is wider than with all of them."
    )


def _agreement(result: Result) -> str:
    agreement = result.agreement
    assert agreement is not None
    items = counted(agreement.items, "occurrence was", "occurrences were")
    kappa = "" if agreement.kappa is None else f", κ = {agreement.kappa:.2f}"
    return (
        f"{items} answered by two people, who gave the same answer to {agreement.same:,}{kappa}. "
        "The answer of the first person counts."
    )

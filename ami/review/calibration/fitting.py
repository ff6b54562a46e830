"""Fit calibrations of an algorithm to one half of the occurrences, and report on the other."""

from collections.abc import Callable, Iterator
from math import floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ami.main.models import Project, TaxaList, Taxon
from ami.ml.models import Algorithm, Calibration
from ami.ml.post_processing.deriving import softmax
from ami.review.calibration.answers import NO_CLASS, RANKS, Named, Vectors, named, read_answers
from ami.review.calibration.answers import vectors as read_logits
from ami.review.calibration.masking import fit_limit
from ami.review.calibration.parts import (
    DECIMALS,
    FEWEST,
    CannotCalibrateError,
    blocks,
    diagrams,
    figure,
    halves,
    require,
)
from ami.review.effect.outcomes import Judge
from ami.review.statistics.climbing import NO_TAXON, climb, row_thresholds, threshold_for
from ami.review.statistics.logistic import CannotFitError, Logistic, fit_logistic
from ami.review.statistics.temperature import NoTemperatureError, fit_temperature

Kind = Calibration.Kind


class Fitted(NamedTuple):
    """The calibrations, not saved, and one sentence for each kind that could not be fitted."""

    calibrations: list[Calibration]
    refusals: dict[str, str]


def fit(
    algorithm: Algorithm,
    project: Project | None,
    *,
    target: float = 0.95,
    seed: int = 0,
    taxa_list: TaxaList | None = None,
) -> Fitted:
    """Fit all kinds of calibration; the limit of masking only if a taxa list is given.

    Raise CannotCalibrateError below 30 independent answers.
    """
    answers = read_answers(algorithm, project)
    where = "all projects" if project is None else f"project {project.pk} ({project})"
    require(len(answers), f"independent answers of {where} on occurrences of {algorithm}")
    base: dict[str, Any] = {"algorithm": algorithm, "project": project, "seed": seed}
    base |= {"target": target, "scope": f"{len(answers):,} independent answers of {where}"}
    logits = read_logits(answers, algorithm)
    judge = Judge([one.taxon_id or 0 for one in answers] + [one.truth_id for one in answers])
    attempts: dict[Calibration.Kind, Callable[[], dict[str, Any]]] = {
        Kind.TEMPERATURE: lambda: _temperature(_sound(logits, algorithm), seed),
        Kind.LOGISTIC: lambda: _logistic(named(answers, judge), target, seed),
        Kind.THRESHOLD: lambda: _thresholds(_sound(logits, algorithm), target, seed),
    }
    if taxa_list is not None:
        attempts[Kind.LIMIT] = lambda: fit_limit(
            _sound(logits, algorithm), taxa_list, target=target, seed=seed
        )
    found, refusals = [], {}
    for kind, attempt in attempts.items():
        try:
            found.append(Calibration(kind=kind, **base, **attempt()))
        except (CannotCalibrateError, CannotFitError, NoTemperatureError) as reason:
            refusals[kind.value] = str(reason)
    return Fitted(found, refusals)


def _sound(found: Vectors | None, algorithm: Algorithm) -> Vectors:
    if found is None:
        raise CannotCalibrateError(
            f"No identified occurrence has logits of {algorithm} that fit its category map."
        )
    return found


def _temperature(found: Vectors, seed: int) -> dict[str, Any]:
    known = found.classes != NO_CLASS
    require(int(known.sum()), "independent answers with logits whose taxon is a class")
    fitting, reporting = (half & known for half in halves(found.occurrences, seed))
    best = fit_temperature(found.logits[fitting], found.classes[fitting])
    places = np.flatnonzero(reporting)
    before, after, right = (
        np.concatenate(column)
        for column in zip(*_confidences(found, places, best.temperature), strict=True)
    )
    return {
        "parameters": {"temperature": best.temperature},
        "n_fit": best.n,
        "n_report": len(places),
        **diagrams(before, after, right, f"Temperature {best.temperature:.3f}"),
    }


def _confidences(
    found: Vectors, places: NDArray[np.intp], temperature: float
) -> Iterator[tuple[Any, Any, Any]]:
    for some in blocks(places, found.logits.shape[1]):
        logits = found.logits[some].astype(np.float64)
        before, after = softmax(logits), softmax(logits / temperature)
        right = before.argmax(axis=1) == found.classes[some]
        yield before.max(axis=1), after.max(axis=1), right


def _logistic(rows: Named, target: float, seed: int) -> dict[str, Any]:
    require(len(rows.scores), "independent answers on names with a score")
    fitting, reporting = halves(rows.occurrences, seed)
    pooled = fit_logistic(rows.scores[fitting], rows.right[fitting])
    scores, right = rows.scores[reporting], rows.right[reporting]
    found = diagrams(scores, pooled.probabilities(scores), right, pooled.words(target))
    threshold = pooled.threshold(target)
    if threshold is not None:
        found["results"]["figures"].append(figure("Above it", right[scores >= threshold]))
    taxa = dict(_by_taxon(rows, fitting, target))
    return {
        "parameters": {"pooled": _stored(pooled, target), "by_taxon": taxa},
        "n_fit": int(fitting.sum()),
        "n_report": int(reporting.sum()),
        **found,
    }


def _by_taxon(rows: Named, fitting: NDArray[np.bool_], target: float) -> Iterator[tuple[str, Any]]:
    """Yield the curve of each taxon with enough answers to fit."""
    taxa, counts = np.unique(rows.taxa[fitting], return_counts=True)
    many = taxa[counts >= FEWEST].tolist()
    names = dict(Taxon.objects.filter(pk__in=many).values_list("pk", "name"))
    for pk in many:
        own = fitting & (rows.taxa == pk)
        try:
            curve = fit_logistic(rows.scores[own], rows.right[own])
        except CannotFitError as reason:
            yield str(pk), {"name": names[pk], "refusal": str(reason)}
        else:
            yield str(pk), {"name": names[pk], **_stored(curve, target)}


def _stored(curve: Logistic, target: float) -> dict[str, Any]:
    return {
        "intercept": curve.intercept,
        "slope": curve.slope,
        "n": curve.n,
        "threshold": curve.threshold(target),
        "words": curve.words(target),
    }


def _thresholds(found: Vectors, target: float, seed: int) -> dict[str, Any]:
    fitting, reporting = halves(found.occurrences, seed)
    thresholds: dict[str, float | None] = {}
    figures: list[dict[str, Any]] = []
    used: set[int] = set()
    width = found.logits.shape[1]
    for level, rank in enumerate(RANKS):
        # A person who names a genus says nothing about the species.
        told = found.true_paths[:, level] != NO_TAXON
        if told.sum() < FEWEST:
            continue
        used.update(np.flatnonzero(told).tolist())
        paths, truths = found.paths[:, level:], found.true_paths[:, level:]
        own = fitting & told
        values = [
            row_thresholds(found.shares(some), paths, truths[some])
            for some in blocks(np.flatnonzero(own), width)
        ]
        thresholds[rank] = above(threshold_for(np.concatenate(values), target))
        figures.append(_reported(rank, thresholds[rank], found, reporting & told, level))
    if not thresholds:
        require(0, "independent answers with logits that name a species, genus or family")
    places = np.array(sorted(used))
    return {
        "parameters": {"thresholds": thresholds},
        "n_fit": int(fitting[places].sum()),
        "n_report": int(reporting[places].sum()),
        "results": {"figures": figures},
    }


def above(threshold: float) -> float | None:
    """The lowest threshold of four decimals above this one; None if there is none up to 1.

    Climbing goes on at a probability equal to the threshold; a rollup stops there.
    """
    raised = (floor(threshold * 10**DECIMALS) + 1) / 10**DECIMALS
    return raised if raised <= 1 else None


def _reported(
    rank: str, threshold: float | None, found: Vectors, rows: NDArray[np.bool_], level: int
) -> dict[str, Any]:
    if threshold is None:
        return {"rank": rank, "sentence": f"{rank.capitalize()}: out of reach."}
    paths = found.paths[:, level:]
    right: list[bool] = []
    for some in blocks(np.flatnonzero(rows), found.logits.shape[1]):
        taxa = climb(found.shares(some), paths, np.nextafter(threshold, 0))
        truths = found.true_paths[some, level:]
        right += (taxa[:, None] == truths).any(axis=1)[taxa != NO_TAXON].tolist()
    told = figure(f"{rank.capitalize()} from {threshold:g} on", np.array(right, dtype=bool))
    return {"rank": rank, "threshold": threshold, "asked": int(rows.sum()), **told}

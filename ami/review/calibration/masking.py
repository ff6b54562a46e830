"""How much probability masking may remove so that its names reach a wanted accuracy."""

from collections.abc import Iterator
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ami.main.models import TaxaList
from ami.ml.post_processing.class_masking.masking import kept_classes, mask
from ami.ml.post_processing.labels import listed_taxa
from ami.review.calibration.answers import Vectors
from ami.review.calibration.parts import (
    DECIMALS,
    CannotCalibrateError,
    blocks,
    diagrams,
    figure,
    halves,
)
from ami.review.effect.outcomes import Judge, Outcome, Pairs
from ami.review.statistics.logistic import fit_logistic


def fit_limit(found: Vectors, taxa_list: TaxaList, *, target: float, seed: int) -> dict[str, Any]:
    """Fit the probability that a masked name is right to the probability that masking leaves.

    The limit is the highest removed probability at which names reach the target. Raises
    CannotCalibrateError if the list holds no class, and CannotFitError as `fit_logistic` does.
    """
    listed = listed_taxa(set(taxa_list.taxa.values_list("pk", flat=True)))
    classes = kept_classes(found.labels, listed).classes
    if not classes.any():
        raise CannotCalibrateError(f"{taxa_list} holds no class of the algorithm.")
    blocks = zip(*_masked(found, classes), strict=True)
    left, taxa = (np.concatenate(column) for column in blocks)
    judge = Judge({*taxa.tolist(), *found.truths.tolist()})
    outcomes = judge.outcomes(Pairs.of(taxa, found.truths))
    right = np.isin(outcomes, [Outcome.EXACT, Outcome.ANCESTOR])
    fitting, reporting = halves(found.occurrences, seed)
    curve = fit_logistic(left[fitting], right[fitting])
    limit = limit_of(curve.threshold(target))
    told = "out of reach" if limit is None else f"{limit:g}"
    words = f"Limit of the probability that {taxa_list} may remove: {told}"
    shown = diagrams(left[reporting], curve.probabilities(left[reporting]), right[reporting], words)
    if limit is not None:
        within = reporting & (left >= 1 - limit)
        shown["results"]["figures"].append(figure("Up to it", right[within]))
    return {
        "parameters": {"taxa_list": taxa_list.pk, "name": str(taxa_list), "limit": limit},
        "n_fit": int(fitting.sum()),
        "n_report": int(reporting.sum()),
        **shown,
    }


def limit_of(least: float | None) -> float | None:
    """The highest limit of four decimals that leaves at least this probability.

    A limit is above 0 and below 1; None if there is none.
    """
    if least is None:
        return None
    limit = floor((1 - least) * 10**DECIMALS) / 10**DECIMALS
    return min(limit, 1 - 10**-DECIMALS) or None


def _masked(found: Vectors, classes: NDArray[np.bool_]) -> Iterator[tuple[Any, Any]]:
    """The probability that masking leaves, and the taxon that it gives, some answers at a time."""
    taxa = np.array([pk or 0 for pk in found.labels.taxa], dtype=np.int64)
    for some in blocks(np.arange(len(found.logits)), found.logits.shape[1]):
        masked = mask(found.logits[some].astype(float), classes, reweight=True)
        yield np.clip(1 - masked.removed, 0, 1), taxa[masked.winners]

"""A simulated classifier of all species of the demo, which makes realistic errors."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ami.main.management.demo.species import Species

LEAD = 0.4  # of the logit of the sister species for which a moth is mistaken
Floats = NDArray[np.floating[Any]]


class Answer(NamedTuple):
    """One number a species, in the order of the labels; `winner` is the index of the best."""

    logits: list[float]
    scores: list[float]
    winner: int


def answer(
    species: int,
    *,
    labels: tuple[Species, ...],
    area: float,
    rng: np.random.Generator,
    is_mistaken: bool = False,
) -> Answer:
    """Classify a moth of labels[species] whose box covers `area` of the frame.

    A small moth gets a low score. Errors are mostly species of the same genus; one that
    `is_mistaken` gets the name of such a species, with a moderate score, if there is one.
    """
    truth = labels[species]
    strength = float(np.clip(3 + 2.7 * np.log2(area / 0.0005) + rng.normal(0, 1.6), 2.0, 15.0))
    logits = rng.normal(0, 1, len(labels))
    for index, label in enumerate(labels):
        if label.genus == truth.genus:
            logits[index] += strength * rng.uniform(0.3, 0.85)
        elif label.family == truth.family:
            logits[index] += strength * 0.12
    logits[species] = strength + rng.normal(0, 0.8)
    if is_mistaken:
        sisters = [index for index, label in enumerate(labels) if label.genus == truth.genus]
        sisters.remove(species)
        if sisters:
            logits[max(sisters, key=logits.__getitem__)] = logits[species] + LEAD
    logits = np.round(logits, 4)
    scores = softmax(logits)
    return Answer(logits.tolist(), scores.tolist(), int(scores.argmax()))


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    shares: Floats = powers / powers.sum()
    return shares

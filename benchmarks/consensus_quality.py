"""How often each rule of track consensus names individuals rightly.

The tracks are synthetic, so the truth is known. An individual sits still for some frames, moves,
and sits still again. Frames without a movement between them show nearly the same picture, so their
errors are nearly the same.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ami.ml.post_processing.deriving import softmax
from ami.ml.post_processing.track_consensus.fusing import Box, Floats, Rule, fuse, weigh

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/methods/track_consensus.md"
NOISE = (0.75, 1.0, 1.5, 2.0, 2.5, 3.0)
TRACKS, CLASSES, SEED = 1_000, 30, 15
SIGNAL = 4.0  # how far the logit of the true class lies above the others
LOOKS, STILL_FRAMES = 4, 12  # the most looks of a track, and the most frames of a look
SHARED = 0.9  # the share of the variance of a frame's error that its whole look has in common
FRAME, SIDE = 1_000.0, 100.0  # pixels


class Track(NamedTuple):
    """The true class of an individual, and its frames: distributions (n x classes), boxes, areas.

    An area is a share of the frame.
    """

    truth: int
    shares: Floats
    boxes: list[Box]
    areas: list[float]

    @property
    def weights(self) -> list[float]:
        return weigh(self.boxes, self.areas)


class Accuracy(NamedTuple):
    """The share of tracks that are named rightly by each rule."""

    best: float
    majority: float
    mean: float
    log_mean: float
    equal_weights: float  # `mean`, with the same weight for each frame


def make_tracks(
    noise: float, *, tracks: int, looks: int = LOOKS, frames: int = STILL_FRAMES
) -> list[Track]:
    """Tracks of up to `looks` looks of up to `frames` frames each, the same at each call.

    `noise` is the standard deviation of the error of a logit on a frame of usual size; smaller
    boxes have larger errors.
    """
    chance = np.random.default_rng(SEED)
    return [_track(chance, noise, looks, frames) for _ in range(tracks)]


def _track(chance: np.random.Generator, noise: float, looks: int, frames: int) -> Track:
    truth = int(chance.integers(CLASSES))
    logits: list[Floats] = []
    boxes: list[Box] = []
    for look in range(chance.integers(1, looks + 1)):
        size = chance.uniform(0.5, 1.5)
        number = chance.integers(1, frames + 1)
        common = chance.normal(size=CLASSES) * np.sqrt(SHARED)
        own = chance.normal(size=(number, CLASSES)) * np.sqrt(1 - SHARED)
        scene = (common + own) * noise / size
        scene[:, truth] += SIGNAL
        logits.append(scene)
        left, side = look * 2 * SIDE, SIDE * size
        boxes += [(left, 0, left + side, side)] * int(number)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) / FRAME**2 for box in boxes]
    return Track(truth, softmax(np.concatenate(logits)), boxes, areas)


def accuracy(tracks: list[Track]) -> Accuracy:
    def right(rule: Rule, *, weighted: bool = True) -> float:
        found = [
            int(fuse(one.shares, rule=rule, weights=one.weights if weighted else None).argmax())
            for one in tracks
        ]
        return float(np.mean([name == one.truth for name, one in zip(found, tracks, strict=True)]))

    votes = [int(np.bincount(one.shares.argmax(axis=1)).argmax()) for one in tracks]
    return Accuracy(
        best=right("best"),
        majority=float(
            np.mean([name == one.truth for name, one in zip(votes, tracks, strict=True)])
        ),
        mean=right("mean"),
        log_mean=right("log_mean"),
        equal_weights=right("mean", weighted=False),
    )


def report() -> str:
    """The accuracy of each rule at each level of noise, as a table."""
    names = ("best single score", "majority", "`mean`", "`log_mean`", "`mean`, equal weights")
    lines = [f"| noise | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for noise in NOISE:
        found = accuracy(make_tracks(noise, tracks=TRACKS))
        lines.append(f"| {noise} | {' | '.join(f'{share:.3f}' for share in found)} |")
    return "\n".join(lines) + "\n"

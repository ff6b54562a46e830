from typing import Any

from ami.base.tests.factories import make_capture, make_detection, make_occurrence, make_taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.tests.nights import make_event
from ami.ml.post_processing.tests.vectors import make_classifier, make_map, make_ranks, make_source
from ami.testing import Rows

SCORES = ([0.9, 0.1, 0.0, 0.0], [0.4, 0.6, 0.0, 0.0], [0.3, 0.65, 0.05, 0.0])
LOGITS = ([2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, -9.0])
ODD: tuple[dict[str, Any], ...] = (
    {"scores": [1.0]},
    {"logits": [1.0, 2.0]},
    {"logits": [float("nan"), 0.0, 1.0, 0.0]},
    {"scores": [0.9, 5.0, -1.0, 0.0]},
)


def make_rows(nights: int) -> Rows:
    make_ranks("F", "G", "a", "b", "c")
    classifier = make_classifier("a", "b", "c", "no taxon")
    other, bare = make_classifier("a", "b", "c", "no taxon"), make_map()
    known = [make_taxon() for _ in range(2)]
    for _ in range(nights):
        _make_track(classifier, *({"scores": scores} for scores in SCORES))
        _make_track(classifier, *({"logits": logits} for logits in LOGITS), {"scores": SCORES[0]})
        _make_track(classifier, {"scores": SCORES[0]}, *ODD, {"scores": SCORES[1]})
        _make_track(None, *({"taxon": taxon, "score": 0.7} for taxon in (*known, known[0])))
        _make_track(classifier, {"scores": SCORES[0]}, {"scores": SCORES[1], "algorithm": other})
        _make_track(classifier, {"scores": SCORES[0]}, {"taxon": known[0], "score": 0.7})
        _make_track(classifier, *[{"logits": LOGITS[0], "category_map": bare}] * 2)
        _make_track(None, *[{"scores": SCORES[0]}] * 2)
        _make_track(classifier, {"scores": SCORES[0]})
    return Rows(
        {
            "individual with several category maps": 2 * nights,
            "scores of another length than the category map": nights,
            "logits of another length than the category map": nights,
            "logits are not finite numbers": nights,
            "scores are not probabilities": nights,
            "category map without labels": 2 * nights,
            "no category map": 2 * nights,
        }
    )


def _make_track(algorithm: Algorithm | None, *frames: dict[str, Any]) -> None:
    """One individual with a classification on each frame, the first two on one spot."""
    event = make_event()
    trap = event.deployment
    occurrence = make_occurrence(deployment=trap, event=event)
    for number, fields in enumerate(frames):
        by = 300 * (number // 2)
        detection = make_detection(
            source_image=make_capture(deployment=trap, event=event),
            occurrence=occurrence,
            bbox=[100 + by, 100, 200 + by, 200],
        )
        make_source(**{"algorithm": algorithm} | fields, detection=detection)

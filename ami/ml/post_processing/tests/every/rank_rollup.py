from ami.base.tests.factories import make_detection
from ami.main.models import Classification
from ami.ml.post_processing.tests.vectors import make_classifier, make_map, make_ranks, make_source
from ami.testing import Rows

LOGITS = ([1.0, 0.9, 0.8, 0.0], [-0.0, 5e-324, 9.0, 0.0], [0.0, 0.0, 0.0, 900.0])
SCORES = [0.5, 0.3, 0.2, 0.0]


def make_rows(nights: int) -> Rows:
    make_ranks("F", "G", "a", "b", "c")
    classifier = make_classifier("a", "b", "c", "no taxon")
    bare = make_map()
    for _ in range(nights):
        for logits in (*LOGITS, [1.0], [float("inf"), 0.0, 1.0, 0.0]):
            make_source(classifier, logits=logits)
        for scores in (SCORES, [1.0], [0.9, 5.0, -1.0, 0.0]):
            make_source(classifier, scores=scores)
        make_source(classifier, logits=LOGITS[0], category_map=bare)
        make_source(classifier, scores=SCORES, detection=make_detection())
        make_source(None, scores=SCORES)
        nameless = make_source(classifier, scores=SCORES)
        Classification.objects.filter(pk=nameless.pk).update(taxon=None)
    return Rows(
        {
            "logits of another length than the category map": nights,
            "scores of another length than the category map": nights,
            "logits are not finite numbers": nights,
            "scores are not probabilities": nights,
            "category map without labels": nights,
            "no category map": nights,
        }
    )

from ami.base.tests.factories import make_detection
from ami.main.models import Classification, Taxon
from ami.ml.post_processing.tests.vectors import (
    make_classifier,
    make_list,
    make_map,
    make_ranks,
    make_source,
)
from ami.testing import Rows

SOUND = ([1.0, 0.9, 0.8, 0.0], [-0.0, 5e-324, 9.0, 0.0], [900.0, 0.0, 0.0, 0.0])


def make_rows(nights: int) -> Rows:
    make_ranks("F", "G", "a", "b", "c")
    classifier = make_classifier("a", "b", "c", "no taxon")
    bare, unlisted = make_map(), make_map("c")
    for _ in range(nights):
        for logits in (*SOUND, [1.0], [float("nan"), 0.0, 1.0, 0.0]):
            make_source(classifier, logits=logits)
        make_source(classifier, logits=SOUND[0], category_map=bare)
        make_source(classifier, logits=[1.0], category_map=unlisted)
        make_source(classifier, logits=SOUND[0], detection=make_detection())
        make_source(None, logits=SOUND[0])
        nameless = make_source(classifier, logits=SOUND[0])
        Classification.objects.filter(pk=nameless.pk).update(taxon=None)
    return Rows(
        {
            "logits of another length than the category map": nights,
            "logits are not finite numbers": nights,
            "category map without labels": nights,
            "no class of the category map is in the taxa list": nights,
        },
        {
            "taxa_list_id": make_list(*Taxon.objects.filter(name__in=["a", "b"])).pk,
            "algorithm_id": classifier.pk,
        },
    )

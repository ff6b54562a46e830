from typing import Any

from django.db.models import Model, Q, QuerySet

from ami.main.models import TaxaList
from ami.ml.models import Algorithm
from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm
from ami.ml.post_processing.admin.offers import Offer, every
from ami.ml.post_processing.class_masking import ClassMaskingConfig


class ClassMaskingActionForm(BasePostProcessingActionForm):
    """Offers the classifiers with logits in the selection, and lists that hold their classes."""

    config_schema = ClassMaskingConfig

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, scope_queryset=scope_queryset, **kwargs)
        algorithms = every(Algorithm.objects.exclude(category_map=None))
        lists = every(TaxaList.objects.all())
        if scope_queryset is not None:
            offer = Offer.of(scope_queryset, Q(logits__isnull=False), with_masked=True)
            algorithms, lists = offer.algorithm_choices(), offer.list_choices()
        self.offer(
            "taxa_list_id",
            lists,
            otherwise="No taxa list of the project holds a class of a classifier.",
        )
        self.offer(
            "algorithm_id", algorithms, otherwise="No classification in the selection has logits."
        )

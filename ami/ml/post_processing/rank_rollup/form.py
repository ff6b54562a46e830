from typing import Any

from django.db.models import Model, Q, QuerySet

from ami.ml.models import Algorithm
from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm
from ami.ml.post_processing.admin.offers import Offer, every
from ami.ml.post_processing.rank_rollup import RankRollupConfig


class RankRollupActionForm(BasePostProcessingActionForm):
    """Offers the classifiers with scores or logits in the selection."""

    config_schema = RankRollupConfig

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, scope_queryset=scope_queryset, **kwargs)
        algorithms = every(Algorithm.objects.exclude(category_map=None))
        if scope_queryset is not None:
            condition = Q(scores__isnull=False) | Q(logits__isnull=False)
            algorithms = Offer.of(scope_queryset, condition).algorithm_choices()
        self.offer(
            "algorithm_id",
            algorithms,
            otherwise="No classification in the selection has scores or logits.",
        )

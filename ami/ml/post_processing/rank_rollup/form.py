from collections.abc import Collection
from typing import Any

from django.db.models import Model, Q, QuerySet

from ami.ml.models import Algorithm, Calibration
from ami.ml.post_processing.admin.calibrated import CalibratedForm
from ami.ml.post_processing.admin.offers import Offer, every
from ami.ml.post_processing.rank_rollup import RankRollupConfig


class RankRollupActionForm(CalibratedForm):
    """Offers the classifiers with scores or logits in the selection, and calibrated thresholds."""

    config_schema = RankRollupConfig
    calibration_kind = Calibration.Kind.THRESHOLD
    calibrated_field = "thresholds"
    button = "Use the thresholds for {target} accuracy"

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, scope_queryset=scope_queryset, **kwargs)
        if scope_queryset is None:
            algorithms = every(Algorithm.objects.exclude(category_map=None))
        else:
            condition = Q(scores__isnull=False) | Q(logits__isnull=False)
            algorithms = Offer.of(scope_queryset, condition).algorithm_choices()
        self.offer(
            "algorithm_id",
            algorithms,
            otherwise="No classification in the selection has scores or logits.",
        )

    @classmethod
    def fillings(cls, one: Calibration) -> dict[str, Any]:
        """The thresholds by rank; a rank out of reach, or without a threshold, is not tried."""
        thresholds = one.parameters.get("thresholds", {})
        return {"thresholds": thresholds} if any(thresholds.values()) else {}

    def calibrated_algorithms(self) -> Collection[int]:
        choices: Any = getattr(self.fields["algorithm_id"], "choices", [])
        return [pk for pk, _ in choices if pk]

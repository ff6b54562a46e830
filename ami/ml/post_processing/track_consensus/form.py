from collections.abc import Collection
from typing import Any

from django.db.models import Model, Q, QuerySet

from ami.ml.models import Algorithm, Calibration
from ami.ml.post_processing.admin.calibrated import CalibratedForm
from ami.ml.post_processing.admin.offers import Offer
from ami.ml.post_processing.track_consensus.task import TrackConsensusConfig


class TrackConsensusActionForm(CalibratedForm):
    """Offers the temperatures of the classifiers in the selection."""

    config_schema = TrackConsensusConfig
    calibration_kind = Calibration.Kind.TEMPERATURE
    calibrated_field = "temperature"
    button = "Use this temperature"

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, scope_queryset=scope_queryset, **kwargs)
        if scope_queryset is None:
            self.algorithms = list(Algorithm.objects.exclude(category_map=None))
        else:
            having = Q(scores__isnull=False) | Q(logits__isnull=False)
            self.algorithms = Offer.of(scope_queryset, having, with_masked=True).algorithms

    @classmethod
    def fillings(cls, one: Calibration) -> dict[str, Any]:
        """The temperature, if the option accepts it."""
        temperature = round(one.parameters["temperature"], 4)
        _, fault = TrackConsensusConfig.__fields__["temperature"].validate(
            temperature, {}, loc="temperature"
        )
        return {} if fault else {"temperature": temperature}

    def calibrated_algorithms(self) -> Collection[int]:
        return [one.pk for one in self.algorithms]

from collections.abc import Collection
from typing import Any

from django.db.models import Model, Q, QuerySet

from ami.main.models import TaxaList
from ami.ml.models import Algorithm, Calibration
from ami.ml.post_processing.admin.calibrated import CalibratedForm
from ami.ml.post_processing.admin.offers import Offer, every
from ami.ml.post_processing.class_masking import ClassMaskingConfig


class ClassMaskingActionForm(CalibratedForm):
    """Offers the classifiers with logits in the selection, and lists that hold their classes.

    Also offers calibrated limits for both.
    """

    config_schema = ClassMaskingConfig
    calibration_kind = Calibration.Kind.LIMIT
    calibrated_field = "removed_mass_limit"
    button = "Use the limit for {target} accuracy"

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, scope_queryset=scope_queryset, **kwargs)
        if scope_queryset is None:
            algorithms = every(Algorithm.objects.exclude(category_map=None))
            lists = every(TaxaList.objects.all())
        else:
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

    @classmethod
    def fillings(cls, one: Calibration) -> dict[str, Any]:
        """The limit, and the list and the classifier for which it holds."""
        if (limit := one.parameters.get("limit")) is None:
            return {}
        list_id = one.parameters["taxa_list"]
        return {
            "removed_mass_limit": limit,
            "taxa_list_id": list_id,
            "algorithm_id": one.algorithm_id,
        }

    def calibrated_algorithms(self) -> Collection[int]:
        return self._offered("algorithm_id")

    def is_offered(self, one: Calibration) -> bool:
        return one.parameters.get("taxa_list") in self._offered("taxa_list_id")

    def _offered(self, name: str) -> list[int]:
        choices: Any = getattr(self.fields[name], "choices", [])
        return [pk for pk, _ in choices if pk]

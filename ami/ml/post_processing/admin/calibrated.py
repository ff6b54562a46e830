"""Forms that offer what calibrations found, with a button that fills it in."""

from abc import abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

from django.http import QueryDict
from django.utils.html import conditional_escape, format_html, format_html_join

from ami.base.access import visible_rows_of
from ami.base.ids import parse_id
from ami.base.links import change_link
from ami.ml.models import Calibration
from ami.ml.post_processing.admin.forms import FILL, BasePostProcessingActionForm


class CalibratedForm(BasePostProcessingActionForm):
    """Offers the latest calibrations of one kind beside a field.

    `calibration_kind` is the kind, `calibrated_field` the name of the field, and `button` the text
    of the button, in which {target} stands for the wanted accuracy.
    """

    calibration_kind: ClassVar[Calibration.Kind]
    calibrated_field: ClassVar[str]
    button: ClassVar[str]

    @classmethod
    @abstractmethod
    def fillings(cls, one: Calibration) -> dict[str, Any]:
        """The inputs that the calibration fills in, with their values; empty if it has none."""

    @abstractmethod
    def calibrated_algorithms(self) -> Collection[int]:
        """The ids of the algorithms whose calibrations are offered."""

    @classmethod
    def filled(cls, data: QueryDict, user: Any) -> dict[str, Any]:
        typed = super().filled(data, user)
        rows = visible_rows_of(Calibration, user).filter(kind=cls.calibration_kind)
        one = rows.filter(pk=parse_id(data.get(FILL, ""))).first()
        return typed | cls.fillings(one) if one else typed

    def is_offered(self, one: Calibration) -> bool:
        """Whether the calibration fits the other choices of the form."""
        return True

    def hide_foreign(self, user: Any) -> None:
        """Also tell the latest calibrations that the person may see."""
        super().hide_foreign(user)
        rows = visible_rows_of(Calibration, user).filter(
            kind=self.calibration_kind, algorithm__in=self.calibrated_algorithms()
        )
        latest: dict[Any, Calibration] = {}
        for one in rows.select_related("algorithm").order_by("-created_at", "-pk"):
            latest.setdefault((one.algorithm_id, one.parameters.get("taxa_list")), one)
        offered = [one for one in latest.values() if self.is_offered(one)]
        self.has_fillings = any(self.fillings(one) for one in offered)
        offers = format_html_join("", "{}", ((self._told(one),) for one in offered))
        field = self.fields[self.calibrated_field]
        field.help_text = conditional_escape(field.help_text) + offers

    def _told(self, one: Calibration) -> str:
        button = format_html(
            '<button type="submit" class="button" name="{}" value="{}">{}</button>',
            FILL,
            one.pk,
            self.button.format(target=f"{100 * one.target:g} %"),
        )
        return format_html(
            '<div class="calibrated">{}. {}{}</div>',
            change_link(Calibration, one.pk, f"Calibration {one.pk}"),
            one.offer,
            format_html(" {}", button) if self.fillings(one) else "",
        )

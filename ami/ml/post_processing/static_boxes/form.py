"""The form of static boxes, with a tile to tick for each place where boxes stay."""

from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm
from ami.ml.post_processing.scopes import SCOPES
from ami.ml.post_processing.static_boxes import StaticBoxesConfig
from ami.ml.post_processing.static_boxes.places import Found, Place, find_places

LIMITS = ("min_captures", "min_nights", "iou")


class TilesWidget(forms.CheckboxSelectMultiple):
    """A tile with a crop and a checkbox for each place; `is_known` says that they were sought."""

    template_name = "admin/post_processing/static_boxes/tiles.html"
    is_known = False

    def get_context(self, *args: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(*args)
        return context | {"is_known": self.is_known}


class PlacesField(forms.MultipleChoiceField):
    """Accepts places that are no longer found: the schema says which are legal."""

    widget = TilesWidget

    def valid_value(self, value: Any) -> bool:
        return True


class StaticBoxesActionForm(BasePostProcessingActionForm):
    """Offers the places where boxes of the selection stay. They are sought when it is drawn."""

    config_schema = StaticBoxesConfig

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, scope_queryset=scope_queryset, **kwargs)
        drawn = self.fields["places"]
        field = PlacesField(
            label=drawn.label,
            help_text=drawn.help_text,
            required=False,
            initial=[],
            choices=self._choices,
        )
        field.widget.is_known = scope_queryset is not None
        self.fields["places"] = field

    def _choices(self) -> list[tuple[str, Any]]:
        """The places found, and those that were ticked before but are not found any more."""
        found = {str(one.place): one for one in self._found}
        ticked = self["places"].value() or []
        gone = [(one, one) for one in ticked if one not in found and _is_place(one)]
        return [*found.items(), *gone]

    @cached_property
    def _found(self) -> list[Found]:
        if self.scope_queryset is None:
            return []
        scope = next(one for one in SCOPES if one.model is self.scope_queryset.model)
        ids = list(self.scope_queryset.order_by().values_list("pk", flat=True))
        return find_places(scope.detections(ids), **self._limits())

    def _limits(self) -> dict[str, Any]:
        """The limits as they were typed; the default where that is not legal."""
        limits: dict[str, Any] = {}
        for name in LIMITS:
            option = StaticBoxesConfig.__fields__[name]
            try:
                typed = self.fields[name].clean(self[name].value())
            except ValidationError:
                typed = None
            value, fault = option.validate(typed, {}, loc=name)
            limits[name] = option.default if fault or value is None else value
        return limits


def _is_place(written: Any) -> bool:
    try:
        return bool(Place.read(str(written)))
    except ValueError:
        return False

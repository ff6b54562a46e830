"""Forms drawn from a method's schema, which alone says what is legal."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar, Literal, get_args, get_origin

from django import forms
from django.db.models import Model, QuerySet
from pydantic import BaseModel
from pydantic.fields import ModelField

from ami.base.registry import Registry
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import options_of

NUMBERS: Mapping[type, type[forms.Field]] = {int: forms.IntegerField, float: forms.FloatField}


class JSONOptionField(forms.JSONField):
    """A JSON field in which `{}` and `[]` are values, and nothing typed is none."""

    empty_values = [None, ""]

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class BasePostProcessingActionForm(forms.Form):
    """The options of a method, one field each; a subclass may declare some by hand.

    The fields that are not declared are drawn from `config_schema`: type, choices, bounds as
    hints to the browser, help text and default. Scopes are left out, for the selection gives
    them. `scope_queryset` holds the selected rows, for fields that depend on them.
    """

    config_schema: ClassVar[type[BaseModel] | None] = None

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.scope_queryset = scope_queryset
        for option in options_of(self.config_schema) if self.config_schema else []:
            self.fields.setdefault(option.name, _form_field(option))

    def to_config(self) -> dict[str, Any]:
        """The options that were filled in, and those that were emptied of another default."""
        options = self.config_schema.__fields__ if self.config_schema else {}
        emptied = {
            name
            for name, option in options.items()
            if option.allow_none and option.default is not None
        }
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if value not in (None, "") or name in emptied
        }

    def add_config_errors(self, errors: list[tuple[str | None, str]]) -> None:
        """Show the schema's faults, each at its field where there is one."""
        for option, message in errors:
            self.add_error(option if option in self.fields else None, message)


FORM_CLASSES: Registry[type[BasePostProcessingActionForm]] = Registry("form")


def form_class_for(task_cls: type[BasePostProcessingTask]) -> type[BasePostProcessingActionForm]:
    """The form registered in FORM_CLASSES under the method's key, else one from its schema."""
    if task_cls.key in FORM_CLASSES:
        return FORM_CLASSES[task_cls.key]
    return type(
        f"{task_cls.__name__}Form",
        (BasePostProcessingActionForm,),
        {"config_schema": task_cls.config_schema},
    )


def _form_field(option: ModelField) -> forms.Field:
    kind: Any = option.outer_type_
    default = option.get_default()
    shared = {
        "label": option.field_info.title or option.name.replace("_", " ").capitalize(),
        "help_text": option.field_info.description or "",
        "initial": default.value if isinstance(default, Enum) else default,
        "required": bool(option.required) or not (option.allow_none or default == ""),
    }
    if choices := _choices(kind):
        empty = [] if shared["required"] else [("", "---------")]
        return forms.TypedChoiceField(
            choices=[*empty, *choices], coerce=_coerce_to(choices), empty_value=None, **shared
        )
    if kind is bool and option.allow_none:
        return forms.NullBooleanField(**shared | {"required": False})
    if kind is bool:
        return forms.BooleanField(**shared | {"required": False})
    if isinstance(kind, type) and (number := _number_class(kind)):
        return number(widget=forms.NumberInput(attrs=_bounds(option, kind)), **shared)
    if kind is str or (isinstance(kind, type) and issubclass(kind, str)):
        return forms.CharField(empty_value=None if option.allow_none else "", **shared)
    return JSONOptionField(**shared)


def _choices(kind: Any) -> list[tuple[Any, str]]:
    if get_origin(kind) is Literal:
        return [(value, str(value).replace("_", " ").capitalize()) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [(member.value, str(getattr(member, "label", member.name))) for member in kind]
    return []


def _coerce_to(choices: list[tuple[Any, str]]) -> Any:
    values = {str(value): value for value, _ in choices}
    return values.__getitem__


def _number_class(kind: type) -> type[forms.Field] | None:
    return next((field for base, field in NUMBERS.items() if issubclass(kind, base)), None)


def _bounds(option: ModelField, kind: type) -> dict[str, Any]:
    info = option.field_info
    bounds = {
        "min": info.gt if info.ge is None else info.ge,
        "max": info.lt if info.le is None else info.le,
        "step": "1" if issubclass(kind, int) else "any",
    }
    return {name: bound for name, bound in bounds.items() if bound is not None}

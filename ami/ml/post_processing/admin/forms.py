"""Forms generated from a method's schema. Only the schema decides which options are legal."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from math import ceil, floor
from typing import Any, ClassVar, Literal, get_args, get_origin

from django import forms
from django.db.models import Model, QuerySet
from django.http import QueryDict
from pydantic import BaseModel
from pydantic.fields import ModelField

from ami.base.access import is_of_projects, visible_rows_of
from ami.base.forms import StorableJSONField
from ami.base.registry import Registry
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import label_of, options_of

FILL = "_fill"
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
NUMBERS: Mapping[type, type[forms.Field]] = {int: forms.IntegerField, float: forms.FloatField}


class JSONOptionField(StorableJSONField):
    """A JSON field in which `{}` and `[]` are values; an empty input is no value."""

    empty_values = [None, ""]

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class NumbersWidget(forms.MultiWidget):
    """One number input for each name."""

    template_name = "admin/post_processing/numbers.html"

    def __init__(self, names: list[tuple[str, str]], attrs: dict[str, Any]) -> None:
        self.names = names
        super().__init__(
            {name: forms.NumberInput({**attrs, "aria-label": text}) for name, text in names}
        )

    def get_context(self, *args: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(*args)
        for number, (_, text) in zip(context["widget"]["subwidgets"], self.names, strict=True):
            number["label"] = text
        return context

    def decompress(self, value: Any) -> list[Any]:
        return [(value or {}).get(name) for name, _ in self.names]


class NumbersField(forms.MultiValueField):
    """A mapping from names to numbers; names with an empty input are left out."""

    widget: NumbersWidget

    def __init__(self, names: list[tuple[str, str]], attrs: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(
            [forms.FloatField(required=False, label=text) for _, text in names],
            require_all_fields=False,
            widget=NumbersWidget(names, attrs),
            **kwargs,
        )

    def compress(self, data_list: list[float | None]) -> dict[str, float]:
        names = [name for name, _ in self.widget.names]
        pairs = zip(names, data_list or [None] * len(names), strict=True)
        return {name: number for name, number in pairs if number is not None}


class BasePostProcessingActionForm(forms.Form):
    """The options of a method, with one field per option; a subclass may declare fields itself.

    Fields that are not declared are generated from `config_schema`: type, choices, the bounds that
    a browser can check, help text and default. Scopes have no fields, because the selection gives
    them. `scope_queryset` holds the selected rows, for fields that depend on them.
    """

    config_schema: ClassVar[type[BaseModel] | None] = None
    has_fillings = False  # whether it has a button that fills something in

    def __init__(
        self, *args: Any, scope_queryset: QuerySet[Model] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.scope_queryset = scope_queryset
        self.lacking = ""
        for option in options_of(self.config_schema) if self.config_schema else []:
            self.fields.setdefault(option.name, _form_field(option))

    @classmethod
    def typed(cls, data: QueryDict) -> dict[str, Any]:
        """What was typed into the fields so far, legal or not, as the `initial` of another form."""
        return {
            name: field.widget.value_from_datadict(data, {}, name)
            for name, field in cls().fields.items()
        }

    @classmethod
    def filled(cls, data: QueryDict, user: Any) -> dict[str, Any]:
        """What was typed, with what a button of the form fills in; the `initial` of another form.

        A button named `FILL` fills something in.
        """
        return cls.typed(data)

    def offer(self, name: str, rows: Sequence[tuple[int, str]], *, otherwise: str) -> None:
        """Turn the generated field into a choice among `rows`, pairs of an id and a label.

        `otherwise` is shown if there are no rows; if the field is required, the page also shows it
        and disables its submit button.
        """
        drawn = self.fields[name]
        if drawn.required and not rows:
            self.lacking = otherwise
        self.fields[name] = forms.TypedChoiceField(
            choices=[("", "---------" if rows else otherwise), *rows],
            coerce=int,
            empty_value=None,
            label=drawn.label,
            help_text=drawn.help_text,
            required=drawn.required,
            initial=rows[0][0] if drawn.required and len(rows) == 1 else drawn.initial,
        )

    def hide_foreign(self, user: Any) -> None:
        """Remove the choices that name rows of projects that the person may not see."""
        for option in options_of(self.config_schema) if self.config_schema else []:
            model, field = getattr(option.type_, "model", None), self.fields[option.name]
            if is_of_projects(model) and isinstance(field, forms.ChoiceField):
                ids = set(visible_rows_of(model, user).values_list("pk", flat=True))
                choices: Any = field.choices
                field.choices = [(pk, label) for pk, label in choices if pk == "" or pk in ids]

    def to_config(self) -> dict[str, Any]:
        """The options that were filled in, and those whose default was cleared."""
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
        """Show the schema's errors, each at its field and by the field's label if there is one."""
        for option, message in errors:
            if option in self.fields:
                self.add_error(option, self._labelled(option, message))
            else:
                self.add_error(None, message)

    def _labelled(self, name: str, message: str) -> str:
        """Replace the option's name: "thresholds.GENUS must …" is "Thresholds (Genus) must …"."""
        found = re.fullmatch(rf"{re.escape(name)}((?:\.\w+|\[\d+\])*)([: ].*)", message, re.DOTALL)
        if found is None:
            return message
        texts = dict(getattr(self.fields[name].widget, "names", ()))
        path = [texts.get(part, part) for part in re.findall(r"\w+", found[1])]
        label = f"{self[name].label} ({', '.join(path)})" if path else self[name].label
        return f"{label}{found[2]}"


FORM_CLASSES: Registry[type[BasePostProcessingActionForm]] = Registry("form")


def form_class_for(task_cls: type[BasePostProcessingTask]) -> type[BasePostProcessingActionForm]:
    """The form of a method.

    This is the form registered in FORM_CLASSES under its key, else the form in the module `form` of
    the package that is named by its key and defines the method, else in `<key>_form.py` beside the
    method's own module, else in `admin/<key>_form.py`. If there is none, it is generated from the
    schema.
    """
    if task_cls.key in FORM_CLASSES:
        return FORM_CLASSES[task_cls.key]
    return _form_beside(task_cls) or type(
        f"{task_cls.__name__}Form",
        (BasePostProcessingActionForm,),
        {"config_schema": task_cls.config_schema},
    )


def _form_beside(
    task_cls: type[BasePostProcessingTask],
) -> type[BasePostProcessingActionForm] | None:
    """Raises ValueError if the module defines several forms, none a subclass of the others."""
    name = next(filter(find_spec, _form_modules(task_cls)), None)
    if name is None:
        return None
    forms_there = [
        found
        for found in vars(import_module(name)).values()
        if isinstance(found, type)
        and issubclass(found, BasePostProcessingActionForm)
        and found.__module__ == name
    ]
    last = [
        one
        for one in forms_there
        if not any(other is not one and issubclass(other, one) for other in forms_there)
    ]
    if len(last) > 1:
        raise ValueError(f"{name} defines several forms; register one of them in FORM_CLASSES.")
    return last[0] if last else None


def _form_modules(task_cls: type[BasePostProcessingTask]) -> Iterator[str]:
    """The names of the modules that may define the form of a method."""
    key, home = task_cls.key, task_cls.__module__
    if not key.isidentifier():
        return
    beside = home.rpartition(".")[0]
    inside = home if hasattr(sys.modules.get(home), "__path__") else beside
    if inside.rpartition(".")[2] == key:
        yield f"{inside}.form"
    if beside:
        yield f"{beside}.{key}_form"
    yield f"{__package__}.{key}_form"


def _form_field(option: ModelField) -> forms.Field:
    kind: Any = option.outer_type_
    default = option.get_default()
    shared = {
        "label": label_of(option),
        "help_text": " ".join(
            map(str, filter(None, (option.field_info.description, bounds_of(option))))
        ),
        "initial": default.value if isinstance(default, Enum) else default,
        "required": bool(option.required) or not (option.allow_none or default == ""),
    }
    if numbered := _numbered(kind):
        return NumbersField(*numbered, **shared)
    if choices := _choices(kind):
        empty = [] if shared["required"] else [("", "---------")]
        return forms.TypedChoiceField(
            choices=[*empty, *choices], coerce=_coerce_to(choices), empty_value=None, **shared
        )
    if kind is bool:
        switch = forms.NullBooleanField if option.allow_none else forms.BooleanField
        return switch(**shared | {"required": False})
    if isinstance(kind, type) and (number := _number_class(kind)):
        attrs = _bounds(option.field_info, kind)
        return number(widget=forms.NumberInput(attrs=attrs), **shared)
    if kind is str or (isinstance(kind, type) and issubclass(kind, str)):
        return forms.CharField(empty_value=None if option.allow_none else "", **shared)
    return JSONOptionField(**shared)


def bounds_of(option: ModelField) -> str:
    """The bounds of a number as a sentence, such as "Above 0, below 1."; empty without bounds."""
    if not isinstance(option.outer_type_, type) or _number_class(option.outer_type_) is None:
        return ""
    found = [(word, getattr(option.field_info, name)) for name, word in BOUNDS.items()]
    text = ", ".join(f"{word} {bound:,}" for word, bound in found if bound is not None)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _choices(kind: Any) -> list[tuple[Any, str]]:
    if get_origin(kind) is Literal:
        return [(value, str(value).replace("_", " ").capitalize()) for value in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [(member.value, str(getattr(member, "label", member.name))) for member in kind]
    return []


def _numbered(kind: Any) -> tuple[list[tuple[Any, str]], dict[str, Any]] | None:
    """The names and bounds of a mapping from an enumeration to numbers; None for other types."""
    if get_origin(kind) is not dict:
        return None
    names, number = get_args(kind)
    if not (_choices(names) and isinstance(number, type) and issubclass(number, float)):
        return None
    return _choices(names), _bounds(number, number)


def _coerce_to(choices: list[tuple[Any, str]]) -> Any:
    values = {str(value): value for value, _ in choices}
    return values.__getitem__


def _number_class(kind: type) -> type[forms.Field] | None:
    return next((field for base, field in NUMBERS.items() if issubclass(kind, base)), None)


def _bounds(constraints: Any, kind: type) -> dict[str, Any]:
    """The attributes of a number input; `constraints` uses pydantic's names of the bounds.

    `min` and `max` of an input are legal values, so an exclusive bound is checked by the schema
    only. For whole numbers, the next legal number is used instead.
    """
    gt, ge, lt, le = (getattr(constraints, name, None) for name in ("gt", "ge", "lt", "le"))
    if issubclass(kind, int):
        ge = floor(gt) + 1 if ge is None and gt is not None else ge
        le = ceil(lt) - 1 if le is None and lt is not None else le
    bounds = {"min": ge, "max": le, "step": "1" if issubclass(kind, int) else "any"}
    return {name: bound for name, bound in bounds.items() if bound is not None}

"""The options of a method that a sweep can vary, and the values that it tries."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from django import forms
from pydantic.fields import ModelField

from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm, NumbersField
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import model_of

SPAN = 8  # from an eighth of the present value to eight times it, where there are no bounds
DIGITS = 3  # significant ones, of values that are tried


class Variable(NamedTuple):
    """An option, or one number of it: `input` is its name in the form, `path` that in the options.

    `choices` are all values of an option with choices, such as taxa lists; None for a number.
    """

    input: str
    label: str
    path: tuple[str, ...]
    low: float = 0
    high: float = 0
    is_whole: bool = False
    is_logarithmic: bool = False
    choices: Sequence[tuple[Any, str]] | None = None

    def values(
        self, low: float, high: float, number: int, *, present: Any = None
    ) -> list[tuple[Any, str]]:
        """The values to try, each with its label, ascending.

        A range has at most `number`, and also the present value if it lies within.
        """
        if self.choices is not None:
            return list(self.choices)
        if self.is_whole:
            whole = set(np.linspace(floor(low), ceil(high), number).round().astype(int).tolist())
            whole |= {present} if present is not None and low <= present <= high else set()
            return [(value, f"{value:,}") for value in sorted(whole)]
        spread = np.geomspace if self.is_logarithmic and low > 0 else np.linspace
        tried = {float(f"{value:.{DIGITS}g}") for value in spread(low, high, number)}
        tried |= {float(present)} if present is not None and low <= present <= high else set()
        return [(value, f"{value:g}") for value in sorted(tried)]

    def present(self, config: dict[str, Any]) -> Any:
        """The value in these options; None if there is none."""
        value: Any = config
        for part in self.path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def around(self, config: dict[str, Any], option: ModelField) -> "Variable":
        """The same with a range around its present value, within the bounds of the option."""
        present = float(self.present(config) or 0) or 1.0
        low, high = (
            next(filter(None, (getattr(option.type_, one, None) for one in pair)), None)
            for pair in (("ge", "gt"), ("le", "lt"))
        )
        least = present / SPAN if low is None or self.is_logarithmic else low
        most = present * SPAN if high is None else min(high, present * SPAN)
        return self._replace(low=float(least), high=float(most))

    def put(self, config: dict[str, Any], value: Any) -> dict[str, Any]:
        """The options with another value."""
        changed = deepcopy(config)
        inner = changed
        for part in self.path[:-1]:
            inner = inner.setdefault(part, {})
        inner[self.path[-1]] = value
        return changed


def variables_of(
    task_cls: type[BasePostProcessingTask],
    form: BasePostProcessingActionForm,
    config: dict[str, Any],
    parsed: Any,
) -> list[Variable]:
    """The numbers and choices among the options of a filled in form, which are also given parsed.

    Those with a value come first, and of these the ones that the measure of the method names.
    """
    options = task_cls.config_schema.__fields__
    measure = task_cls.measure
    is_logarithmic = bool(measure and measure.logarithmic)
    found = [
        variable.around(config, options[name]) if variable.choices is None else variable
        for name, field in form.fields.items()
        if name in options
        for variable in _variables(options[name], field, is_logarithmic)
    ]
    thresholds = measure.thresholds(parsed) if measure else {}
    measured = {threshold.field for threshold in thresholds.values()}
    return sorted(found, key=lambda one: (one.present(config) is None, one.input not in measured))


def _variables(option: ModelField, field: forms.Field, is_logarithmic: bool) -> Iterator[Variable]:
    name, label = option.name, str(field.label or option.name)
    if isinstance(field, NumbersField):
        for key, text in reversed(field.widget.names):  # fine to coarse: fine ranks change most
            yield Variable(
                f"{name}_{key}", f"{label} ({text})", (name, key), is_logarithmic=is_logarithmic
            )
    elif isinstance(field, forms.FloatField):
        yield Variable(name, label, (name,), is_logarithmic=is_logarithmic)
    elif isinstance(field, forms.IntegerField):
        yield Variable(name, label, (name,), is_whole=True)
    elif isinstance(field, forms.BooleanField):
        yield Variable(name, label, (name,), choices=[(True, "yes"), (False, "no")])
    elif isinstance(field, forms.ChoiceField) and not isinstance(field, forms.MultipleChoiceField):
        offered: Any = field.choices
        choices = [(value, str(text)) for value, text in offered if value != ""]
        if (model := model_of(option)) is not None:  # by name, without the counts of the form
            rows = model._default_manager.in_bulk([pk for pk, _ in choices])
            choices = [(pk, str(rows.get(pk, text))) for pk, text in choices]
        if len(choices) > 1:
            yield Variable(name, label, (name,), choices=choices)

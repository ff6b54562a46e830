"""The page that tries many values of an option on the identified occurrences."""

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse

from ami.base.admin import page_context
from ami.jobs.admin.pages import operator_of
from ami.jobs.states import JobFailedError
from ami.ml.post_processing.admin.actions import COUNTS, PREVIEW, STEPS, PostProcessingAction, Step
from ami.ml.post_processing.admin.preview import stopped
from ami.ml.post_processing.admin.selection import Selection
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import Chosen, missing_rows, scope_options
from ami.ml.post_processing.service import require_right
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config
from ami.review.admin.charts import charts_of
from ami.review.admin.variables import Variable, variables_of
from ami.review.effect.words import p_value
from ami.review.sweep.result import sweep
from ami.review.sweep.run import SweepError, try_values, why_nothing

SWEEP = "_sweep"
OWN = {SWEEP, COUNTS, PREVIEW, "csrfmiddlewaretoken"}
MOST_VALUES, VALUES = 50, 20
WIDEST = 10**12  # beyond, whole numbers and differences are no longer exact


class RangeForm(forms.Form):
    """Which option to vary, from where to where, and how many values to try."""

    prefix = "sweep"

    option = forms.ChoiceField()
    former = forms.CharField(widget=forms.HiddenInput)
    low = forms.FloatField(label="From", min_value=-WIDEST, max_value=WIDEST)
    high = forms.FloatField(label="To", min_value=-WIDEST, max_value=WIDEST)
    number = forms.IntegerField(label="Values", min_value=2, max_value=MOST_VALUES)

    def __init__(self, variables: Sequence[Variable], data: QueryDict) -> None:
        """Fill empty inputs in; the ends of another option than before are those of the option.

        An option with choices has no range.
        """
        self.variables = {one.input: one for one in variables}
        chosen = self.variables.get(data.get("sweep-option", ""), variables[0])
        is_range = chosen.choices is None
        is_same = is_range and data.get("sweep-former") == chosen.input
        typed = {name: data.get(f"sweep-{name}", "") if is_same else "" for name in ("low", "high")}
        super().__init__(
            {
                "sweep-option": data.get("sweep-option") or chosen.input,
                "sweep-former": chosen.input,
                "sweep-low": typed["low"] or f"{chosen.low:.3g}",
                "sweep-high": typed["high"] or f"{chosen.high:.3g}",
                "sweep-number": (data.get("sweep-number") if is_range else None) or VALUES,
            }
        )
        field = self.fields["option"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(one.input, one.label) for one in variables]
        if not is_range:  # all choices are tried
            for name in ("low", "high", "number"):
                self.fields[name].widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        """Refuse two equal or exchanged ends."""
        cleaned: dict[str, Any] = super().clean() or {}
        variable = self.variables.get(cleaned.get("option", ""))
        if self.errors or variable is None or variable.choices is not None:
            return cleaned
        if cleaned["low"] >= cleaned["high"]:
            self.add_error("high", f"The range must end above {cleaned['low']:g}, its start.")
        return cleaned


def sweep_page(
    action: PostProcessingAction,
    model_admin: admin.ModelAdmin[Any],
    request: HttpRequest,
    selection: Selection,
    queryset: QuerySet[Any],
) -> HttpResponse:
    """Try the values on the selected rows; without a choice, those of the first option."""
    require_right(operator_of(request), action.task_cls, {row.project for row in queryset})
    form = action.form_class(request.POST, scope_queryset=queryset)
    suits = action.offers_dry_run and action.task_cls.compares()
    if not (suits and selection.scope and form.is_valid()):
        return action.page(model_admin, request, selection, form)
    config = form.to_config()
    chosen = Chosen(selection.scope, list(selection.ids), foreign=[])
    try:
        options = config | _scope(action.task_cls, chosen)
        parsed = parse_config(action.task_cls.config_schema, options)
    except ConfigValidationErrors as refused:
        form.add_config_errors(refused.errors)
        return action.page(model_admin, request, selection, form)
    variables = variables_of(action.task_cls, form, config, parsed)
    if not variables:
        text = f"{action.task_cls.name} has no option to vary."
        model_admin.message_user(request, text, messages.WARNING)
        return action.page(model_admin, request, selection, form)
    ranges = RangeForm(variables, request.POST)
    found: dict[str, Any] = {}
    if ranges.is_valid():
        found = _found(action.task_cls, chosen, config, ranges, request.user)
    context = {
        **page_context(model_admin, request, title=f"Try values: {action.task_cls.name}"),
        "selection": selection,
        "ranges": ranges,
        "kept": list(_kept(request)),
        "counts_name": COUNTS,
        "sweep_name": SWEEP,
        **found,
    }
    return TemplateResponse(request, "admin/review/sweep.html", context)


def _found(
    task_cls: type[BasePostProcessingTask],
    chosen: Chosen,
    config: dict[str, Any],
    ranges: RangeForm,
    user: Any,
) -> dict[str, Any]:
    variable = ranges.variables[ranges.cleaned_data["option"]]
    try:
        legal = _legal(task_cls, chosen, config, ranges, user)
        tried = try_values(task_cls, [options for _, options in legal], chosen)
        scoped = config | _scope(task_cls, chosen)
        nothing = why_nothing(task_cls, scoped) if tried.is_flat else None
    except (JobFailedError, SweepError, ConfigValidationErrors) as refused:
        return {"refusal": str(refused)}
    except Exception as fault:
        return {"refusal": stopped(task_cls, fault)}
    present = variable.present(config)
    result = sweep(tried, [value for value, _ in legal], present=present)
    return {
        "variable": variable,
        "result": result,
        "present": present,
        "nothing": nothing,
        "best_p": p_value(result.best.reported.p) if result.best else "",
        "charts": charts_of(result, variable, present),
        "rows": [
            (point, point.independent if result.is_independent else point.all_answers)
            for point in result.points
        ],
    }


def _legal(
    task_cls: type[BasePostProcessingTask],
    chosen: Chosen,
    config: dict[str, Any],
    ranges: RangeForm,
    user: Any,
) -> list[tuple[tuple[Any, str], dict[str, Any]]]:
    """The values that the schema accepts, with their labels, and the options with each.

    Raises ConfigValidationErrors if there are fewer than two.
    """
    schema, asked = task_cls.config_schema, ranges.cleaned_data
    variable = ranges.variables[asked["option"]]
    legal: list[tuple[tuple[Any, str], dict[str, Any]]] = []
    refused = ConfigValidationErrors([(None, "There are fewer than two values to try.")])
    ends = asked["low"], asked["high"], asked["number"]
    for value in variable.values(*ends, present=variable.present(config)):
        options = variable.put(config, value[0]) | _scope(task_cls, chosen)
        try:
            parsed = parse_config(schema, options)
        except ConfigValidationErrors as fault:
            refused = fault
            continue
        if faults := missing_rows(parsed, user=user):
            raise ConfigValidationErrors(faults)
        legal.append((value, options))
    if len(legal) < 2:
        raise refused
    return legal


def _scope(task_cls: type[BasePostProcessingTask], chosen: Chosen) -> dict[str, Any]:
    """The option that names the rows; the schema of some methods takes only one of them."""
    schema = task_cls.config_schema
    one = chosen.ids if chosen.scope.several in schema.__fields__ else chosen.ids[:1]
    return scope_options(schema, chosen.scope, one)


def _kept(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """What the page of options was filled in with, for the forms of this page."""
    for name, values in request.POST.lists():
        if name in OWN or name.startswith("sweep-"):
            continue
        for value in values:
            yield name, str(value)


STEPS[SWEEP] = Step("Try a range…", sweep_page, lambda task_cls: task_cls.compares())

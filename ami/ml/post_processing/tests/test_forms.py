import re
from enum import Enum, StrEnum
from typing import Any, Literal

import pytest
from django import forms
from pydantic import BaseModel, Field, confloat

from ami.jobs.tests.job_types import forget
from ami.main.models import TaxonRank
from ami.ml.post_processing.admin.forms import (
    FORM_CLASSES,
    BasePostProcessingActionForm,
    form_class_for,
)
from ami.ml.post_processing.admin.small_size_filter_form import SmallSizeFilterActionForm
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import CountingTask, ScopeConfig
from ami.ml.post_processing.validation import parse_config


class Lineage(str, Enum):  # noqa: UP042 -- as code before Python 3.11 wrote it
    CONSTRAINED = "constrained"
    GLOBAL = "global"


class Strictness(StrEnum):
    LOW = "low"


class AllConfig(ScopeConfig):
    whole: int = Field(3, ge=1, le=9, description="How many.")
    share: float = Field(0.5, ge=0, le=1, title="The share")
    switch: bool = False
    lit: bool = True
    mode: Literal["first", "second_best"] = "second_best"
    level: Literal[1, 2] = 2
    lineage: Lineage = Lineage.GLOBAL
    strictness: Strictness | None = None
    text: str = "words"
    blank: str = ""
    remark: str | None = "none yet"
    shape: dict[str, float] | None = None
    note: str | None = None
    limit: int | None = None
    cap: float | None = 0.25
    maybe: bool | None = None
    thresholds: dict[str, float] = {"GENUS": 0.6}
    empty: dict[str, float] = {}
    ids: list[int] = []
    needed: int = Field(...)


class AllTask(CountingTask):
    key = "all_kinds"
    name = "All kinds"
    config_schema = AllConfig


def typed(form: forms.Form) -> dict[str, Any]:
    """The data that a browser submits for an unchanged form."""
    data: dict[str, Any] = {}
    for field in form:
        html, value = str(field), field.value()
        if options := re.findall(r'<option value="(.*?)"( selected)?', html):
            chosen = [option for option, selected in options if selected]
            data[field.name] = (chosen or [options[0][0]])[0]
        elif 'type="checkbox"' in html:
            data |= {field.name: "on"} if value else {}
        else:
            data[field.name] = "" if value is None else str(value)
    return data


def form(data: dict[str, Any] | None = None) -> BasePostProcessingActionForm:
    return form_class_for(AllTask)(data)


def test_scopes_are_left_out() -> None:
    assert list(form().fields) == [
        name for name in AllConfig.__fields__ if name not in ScopeConfig.__fields__
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("whole", forms.IntegerField),
        ("share", forms.FloatField),
        ("switch", forms.BooleanField),
        ("maybe", forms.NullBooleanField),
        ("mode", forms.TypedChoiceField),
        ("lineage", forms.TypedChoiceField),
        ("text", forms.CharField),
        ("limit", forms.IntegerField),
        ("thresholds", forms.JSONField),
        ("ids", forms.JSONField),
    ],
)
def test_field_follows_the_type(name: str, kind: type[forms.Field]) -> None:
    field = form().fields[name]
    assert isinstance(field, kind)
    assert isinstance(field, forms.NullBooleanField) == (name == "maybe")


def test_labels_help_texts_and_bounds_are_shown() -> None:
    fields = form().fields
    assert (fields["whole"].label, fields["whole"].help_text) == (
        "Whole",
        "How many. At least 1, at most 9.",
    )
    assert fields["share"].label == "The share"
    for attribute in ('min="1"', 'max="9"', 'step="1"', 'value="3"'):
        assert attribute in form()["whole"].as_widget()
    for attribute in ('min="0"', 'max="1"', 'step="any"'):
        assert attribute in form()["share"].as_widget()


class Exclusive(BaseModel):
    share: float = Field(0.5, gt=0, lt=1)
    half: float = Field(0.5, ge=0, lt=1)
    whole: int = Field(3, gt=0, lt=10)
    shares: dict[TaxonRank, confloat(gt=0, le=1)] = {}  # type: ignore[valid-type]


def test_exclusive_bounds_are_not_drawn_as_inclusive_ones() -> None:
    class ExclusiveForm(BasePostProcessingActionForm):
        config_schema = Exclusive

    drawn = {field.name: field.as_widget() for field in ExclusiveForm()}
    assert re.findall("(min|max)=", drawn["share"]) == []
    assert re.findall('(?:min|max)=".*?"', drawn["half"]) == ['min="0"']
    assert re.findall('(?:min|max)=".*?"', drawn["whole"]) == ['min="1"', 'max="9"']
    assert set(re.findall('(?:min|max)=".*?"', drawn["shares"])) == {'max="1"'}


def test_choices_are_named_and_the_default_is_selected() -> None:
    for name, option in [
        ("mode", '<option value="second_best" selected>Second best</option>'),
        ("level", '<option value="2" selected>2</option>'),
        ("lineage", '<option value="global" selected>GLOBAL</option>'),
        ("strictness", '<option value="" selected>---------</option>'),
    ]:
        assert option in form()[name].as_widget()


def test_untouched_form_gives_the_defaults() -> None:
    filled = form(typed(form()) | {"needed": "7"})
    assert filled.is_valid(), filled.errors
    assert parse_config(AllConfig, {"occurrence_id": 1, **filled.to_config()}) == AllConfig(
        occurrence_id=1, needed=7
    )


def test_filled_in_values_reach_the_schema() -> None:
    filled = form(
        {
            "whole": "4",
            "share": "0.25",
            "switch": "on",
            "mode": "first",
            "level": "1",
            "lineage": "constrained",
            "strictness": "low",
            "text": "a & b",
            "blank": "",
            "remark": "",
            "shape": "",
            "note": "",
            "limit": "",
            "cap": "",
            "maybe": "false",
            "thresholds": '{"GENUS": 0.9}',
            "empty": "{}",
            "ids": "[1, 2]",
            "needed": "0",
        }
    )
    assert filled.is_valid(), filled.errors
    config = parse_config(AllConfig, {"occurrence_id": 1, **filled.to_config()})
    assert config == AllConfig(
        occurrence_id=1,
        whole=4,
        share=0.25,
        switch=True,
        lit=False,
        mode="first",
        level=1,
        lineage=Lineage.CONSTRAINED,
        strictness=Strictness.LOW,
        text="a & b",
        remark=None,
        cap=None,
        maybe=False,
        thresholds={"GENUS": 0.9},
        ids=[1, 2],
        needed=0,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whole", "1e3"),
        ("whole", ""),
        ("share", "nan"),
        ("share", "a lot"),
        ("mode", "third"),
        ("thresholds", "{GENUS: 1}"),
        ("text", "a\x00b"),
        ("needed", ""),
    ],
)
def test_what_the_type_refuses_is_told_at_the_field(name: str, value: str) -> None:
    filled = form({**typed(form()), "needed": "7", name: value})
    assert list(filled.errors) == [name]


def test_bounds_are_the_schemas_alone_to_judge() -> None:
    assert form({**typed(form()), "needed": "7", "whole": "99"}).is_valid()


def test_faults_of_the_schema_are_shown_at_their_fields() -> None:
    filled = form(typed(form()) | {"needed": "7"})
    assert filled.is_valid()
    filled.add_config_errors([("whole", "Too much."), ("occurrence_id", "Gone."), (None, "All.")])
    assert filled.errors == {"whole": ["Too much."], "__all__": ["Gone.", "All."]}


def test_subclass_may_declare_a_field_by_hand() -> None:
    class Handmade(BasePostProcessingActionForm):
        config_schema = AllConfig
        whole = forms.ChoiceField(choices=[("1", "One"), ("2", "Two")])
        extra = forms.CharField(required=False)

    fields = Handmade().fields
    assert isinstance(fields["whole"], forms.ChoiceField)
    assert "share" in fields
    assert "extra" in fields


def test_form_without_a_schema_has_the_declared_fields_alone() -> None:
    class Plain(BasePostProcessingActionForm):
        size_threshold = forms.FloatField(initial=0.1)

    filled = Plain({"size_threshold": "0.5"})
    assert filled.is_valid()
    assert filled.to_config() == {"size_threshold": 0.5}


def test_registered_form_class_comes_before_the_drawn_one() -> None:
    FORM_CLASSES.register(AllTask.key, SmallSizeFilterActionForm)
    try:
        assert form_class_for(AllTask) is SmallSizeFilterActionForm
    finally:
        forget(FORM_CLASSES, AllTask.key)
    assert form_class_for(AllTask) is not SmallSizeFilterActionForm


def test_key_that_names_no_module_has_a_drawn_form() -> None:
    class Dotted(CountingTask):
        key = "small_size_filter_form.not-there"

    assert form_class_for(Dotted).config_schema is CountingTask.config_schema


def test_small_size_filter_starts_from_the_schemas_default() -> None:
    for form_class in (SmallSizeFilterActionForm, form_class_for(SmallSizeFilterTask)):
        assert list(form_class().fields) == ["size_threshold"]
        assert form_class()["size_threshold"].initial == 0.0008
        assert form_class({"size_threshold": "0.5"}).is_valid()

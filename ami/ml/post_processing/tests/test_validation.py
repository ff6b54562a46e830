from enum import StrEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, confloat, root_validator

from ami.ml.post_processing.small_size_filter import SmallSizeFilterConfig
from ami.ml.post_processing.validation import ConfigValidationErrors, parse_config, stored_config


class Lineage(StrEnum):
    GLOBAL = "global"


class Schema(BaseModel):
    number: float = Field(0.5, gt=0, le=1)
    whole: int = Field(1, ge=1, lt=9)
    mode: Literal["a", "b"] = "a"
    lineage: Lineage = Lineage.GLOBAL
    name: str = "x"
    thresholds: dict[str, confloat(gt=0, le=1)] = {}  # type: ignore[valid-type]
    ids: list[int] = []
    needed: int

    class Config:
        extra = "forbid"


@pytest.mark.parametrize(
    ("options", "option", "sentence"),
    [
        ({"number": 0}, "number", "number must be above 0, got 0."),
        ({"number": 1.5}, "number", "number must be at most 1, got 1.5."),
        ({"number": "x"}, "number", "number must be a number, got 'x'."),
        ({"number": None}, "number", "number must not be empty, got None."),
        ({"number": float("nan")}, "number", "number must be above 0, got nan."),
        ({"whole": 0}, "whole", "whole must be at least 1, got 0."),
        ({"whole": 9}, "whole", "whole must be below 9, got 9."),
        ({"whole": "1e3"}, "whole", "whole must be a whole number, got '1e3'."),
        ({"mode": "c"}, "mode", "mode must be one of 'a', 'b', got 'c'."),
        ({"lineage": "c"}, "lineage", "lineage must be one of 'global', got 'c'."),
        ({"surprise": 1}, "surprise", "surprise is not an option of this method, got 1."),
        (
            {"thresholds": {"GENUS": 7}},
            "thresholds",
            "thresholds.GENUS must be at most 1, got 7.",
        ),
        ({"ids": [1, "x"]}, "ids", "ids[1] must be a whole number, got 'x'."),
    ],
)
def test_fault_is_one_sentence(options: dict[str, Any], option: str, sentence: str) -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        parse_config(Schema, {"needed": 1, **options})
    assert invalid.value.errors == [(option, sentence)]


def test_missing_option_is_named() -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        parse_config(Schema, {})
    assert invalid.value.errors == [("needed", "needed is missing.")]


def test_all_faults_are_told() -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        parse_config(Schema, {"number": 7, "whole": 0})
    assert [option for option, _ in invalid.value.errors] == ["number", "whole", "needed"]
    assert str(invalid.value) == (
        "number must be at most 1, got 7. whole must be at least 1, got 0. needed is missing."
    )


def test_fault_of_no_single_option_belongs_to_none() -> None:
    class Crossed(BaseModel):
        low: int
        high: int

        @root_validator(skip_on_failure=True)
        def in_order(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
            raise ValueError("low must be below high")

    with pytest.raises(ConfigValidationErrors) as invalid:
        parse_config(Crossed, {"low": 2, "high": 1})
    assert invalid.value.errors == [(None, "low must be below high.")]


@pytest.mark.parametrize("values", [None, [], "text", 7])
def test_what_is_no_mapping_is_refused(values: Any) -> None:
    with pytest.raises(ConfigValidationErrors, match="must be a mapping"):
        parse_config(Schema, values)


@pytest.mark.parametrize("threshold", [0, -1, 1, 7, float("nan"), float("inf"), "much", None])
def test_impossible_size_threshold_is_refused(threshold: Any) -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        parse_config(SmallSizeFilterConfig, {"occurrence_id": 1, "size_threshold": threshold})
    assert [option for option, _ in invalid.value.errors] == ["size_threshold"]


@pytest.mark.parametrize("pk", [0, -1, 2**63, 2**70, "abc"])
def test_id_that_no_row_can_have_is_refused(pk: Any) -> None:
    with pytest.raises(ConfigValidationErrors) as invalid:
        parse_config(SmallSizeFilterConfig, {"occurrence_id": pk})
    assert [option for option, _ in invalid.value.errors] == ["occurrence_id"]


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a\x00b"},
        {"name": "half \ud800"},
        {"anything": {"a": ["\x00"]}},
        {"anything": {"a": float("inf")}},
        {"anything": {"a": float("nan")}},
    ],
)
def test_values_that_cannot_be_stored_are_refused(options: dict[str, Any]) -> None:
    class Loose(BaseModel):
        name: str = "x"
        anything: dict[str, Any] = {}

    with pytest.raises(ConfigValidationErrors) as invalid:
        stored_config(Loose(**options))
    assert [option for option, _ in invalid.value.errors] == list(options)


def test_stored_options_keep_defaults_and_a_none_that_says_something() -> None:
    class Optionals(BaseModel):
        unset: int | None = None
        cleared: float | None = 0.5
        kept: float = 0.25
        nested: dict[str, Any] = {}

    config = Optionals(cleared=None, nested={"a": None})
    stored = {"cleared": None, "kept": 0.25, "nested": {"a": None}}
    assert stored_config(config) == stored
    assert parse_config(Optionals, stored) == config

"""Validate a method's options, and turn errors into sentences."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ami.base.storable import storable

LONGEST_VALUE = 200
RULES = {
    "value_error.missing": "is missing",
    "value_error.extra": "is not an option of this method",
    "value_error.number.not_gt": "must be above {limit_value}",
    "value_error.number.not_ge": "must be at least {limit_value}",
    "value_error.number.not_lt": "must be below {limit_value}",
    "value_error.number.not_le": "must be at most {limit_value}",
    "type_error.float": "must be a number",
    "type_error.integer": "must be a whole number",
    "type_error.none.not_allowed": "must not be empty",
    "value_error.const": "must be one of {choices}",
    "type_error.enum": "must be one of {choices}",
}


class ConfigValidationErrors(Exception):  # noqa: N818 -- a public name, and it holds several
    """The schema refuses the options; `errors` is a list of (option or None, sentence)."""

    def __init__(self, errors: list[tuple[str | None, str]]) -> None:
        super().__init__(" ".join(message for _, message in errors))
        self.errors = errors


def parse_config(config_schema: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """The options as the schema's model. Raises ConfigValidationErrors."""
    if not isinstance(values, Mapping):
        raise ConfigValidationErrors([(None, f"The options must be a mapping, got {values!r}.")])
    try:
        return config_schema(**values)
    except ValidationError as invalid:
        raise ConfigValidationErrors(
            [_sentence(error, values) for error in invalid.errors()]
        ) from None


def stored_config(config: BaseModel) -> dict[str, Any]:
    """The options as a Job stores them, including defaults, so that the run can be repeated.

    Raises ConfigValidationErrors for values that a JSON column cannot hold.
    """
    unset = {
        name
        for name, option in config.__fields__.items()
        if getattr(config, name) is None and option.get_default() is None
    }
    options: dict[str, Any] = json.loads(config.json(exclude=unset))
    errors: list[tuple[str | None, str]] = [
        (name, f"{name} must not contain NUL characters, NaN or infinity, got {value!r}.")
        for name, value in options.items()
        if storable(value) != value
    ]
    if errors:
        raise ConfigValidationErrors(errors)
    return options


def _sentence(error: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str | None, str]:
    option = str(error["loc"][0])
    if option == "__root__":
        return None, _full_stop(error["msg"])
    path = [part for part in error["loc"] if part not in {"__root__", "__key__"}]
    name = option + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[1:]
    )
    rule = RULES.get(error["type"])
    if rule is None:
        return option, _full_stop(f"{name}: {error['msg']}")
    ctx = error.get("ctx", {})
    choices = ctx.get("permitted") or ctx.get("enum_values", ())
    listed = ", ".join(repr(getattr(choice, "value", choice)) for choice in choices)
    return option, f"{name} {rule.format(**ctx, choices=listed)}{_got(values, path)}."


def _got(values: Any, path: Sequence[int | str]) -> str:
    for part in path:
        try:
            values = values[part]
        except (LookupError, TypeError):
            return ""
    return f", got {_shown(values)}"


def _shown(value: Any) -> str:
    shown = f"{value:.12g}" if isinstance(value, float) else repr(value)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…"


def _full_stop(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."

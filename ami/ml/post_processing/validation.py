"""The one place where a method's options are checked, and its faults become sentences."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

RULES = {
    "value_error.missing": "is missing",
    "value_error.extra": "is no option of this method",
    "value_error.number.not_gt": "must be above {limit_value}",
    "value_error.number.not_ge": "must be at least {limit_value}",
    "value_error.number.not_lt": "must be below {limit_value}",
    "value_error.number.not_le": "must be at most {limit_value}",
    "type_error.float": "must be a number",
    "type_error.integer": "must be a whole number",
    "type_error.none.not_allowed": "must not be empty",
    "value_error.const": "must be one of {permitted}",
}


class ConfigValidationErrors(Exception):  # noqa: N818 -- a public name, and it holds several
    """Options that the schema refuses: `errors` is a list of (option or None, sentence)."""

    def __init__(self, errors: list[tuple[str | None, str]]) -> None:
        super().__init__(" ".join(message for _, message in errors))
        self.errors = errors


def parse_config(config_schema: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """The options as the schema's model. Raises ConfigValidationErrors."""
    try:
        return config_schema(**values)
    except ValidationError as invalid:
        raise ConfigValidationErrors(
            [_sentence(error, values) for error in invalid.errors()]
        ) from None


def _sentence(error: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str | None, str]:
    option = str(error["loc"][0])
    if option == "__root__":
        return None, _full_stop(error["msg"])
    rule = RULES.get(error["type"])
    if rule is None:
        return option, _full_stop(f"{option}: {error['msg']}")
    fault = f"{option} {rule.format(**error.get('ctx', {}))}"
    return option, f"{fault}, got {_shown(values[option])}." if option in values else f"{fault}."


def _shown(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else repr(value)


def _full_stop(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."

"""Form fields that refuse values that the database cannot store, with an error message."""

import json
from typing import Any

from django import forms
from django.db import models
from django.forms.fields import InvalidJSONInput

from ami.base.json_text import JSONTextError, parse_json

KINDS: dict[type, str] = {dict: "an object in braces, {…}", list: "a list in brackets, […]"}


class StorableJSONField(forms.JSONField):
    """A field for JSON that can be stored; see :func:`parse_json`.

    `kind` is dict or list if the value must be one; an empty input is then an empty one.
    """

    def __init__(self, *args: Any, kind: type | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind = kind
        if kind is not None:
            self.error_messages.setdefault("kind", f"Enter {KINDS[kind]}.")

    def to_python(self, value: Any) -> Any:
        if self.disabled or not isinstance(value, str):
            return value
        if not value.strip():
            return self.kind() if self.kind and not self.required else None
        try:
            parsed = parse_json(value)
        except JSONTextError as refused:
            raise forms.ValidationError(str(refused), code="invalid") from None
        if self.kind and not isinstance(parsed, self.kind):
            raise forms.ValidationError(self.error_messages["kind"], code="kind")
        return parsed

    def bound_data(self, data: Any, initial: Any) -> Any:
        if self.disabled or not isinstance(data, str):
            return initial if self.disabled else data
        try:
            return parse_json(data)
        except JSONTextError:
            return InvalidJSONInput(data)


class JSONTextField(forms.CharField):
    """A field for the text of JSON of one kind, dict or list, which is stored as it was typed.

    An empty input becomes an empty dict or list.
    """

    widget = forms.Textarea

    def __init__(self, *args: Any, kind: type, **kwargs: Any) -> None:
        empty = json.dumps(kind())
        super().__init__(*args, required=False, empty_value=empty, initial=empty, **kwargs)
        self.json = StorableJSONField(kind=kind)

    def validate(self, value: str) -> None:
        super().validate(value)
        self.json.to_python(value)


def json_field(db_field: "models.JSONField[Any, Any]", **kwargs: Any) -> StorableJSONField:
    """Return the form field of a JSON column; the column's default determines the kind."""
    default = db_field.default
    kind = default if default in KINDS else None
    field = db_field.formfield(form_class=StorableJSONField, kind=kind, **kwargs)
    assert isinstance(field, StorableJSONField)
    return field

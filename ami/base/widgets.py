"""Fields and widgets of the admin's forms, made safe for invalid values."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.db.models import Field, ForeignKey, JSONField, ManyToManyField
from django.forms import Field as FormField
from django.forms import ModelChoiceField, ModelMultipleChoiceField
from django.http import HttpRequest

from ami.base.forms import json_field
from ami.base.ids import parse_id


class IdSelect(AutocompleteSelect):
    """Ignores values that are not ids, with which Django's widget would fail."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> list[Any]:
        ids = [text for text in value if parse_id(str(text)) is not None]
        return list(super().optgroups(name, ids, attr))


class IdSelectMultiple(IdSelect, AutocompleteSelectMultiple):
    """The same for several values."""


class SafeFieldsMixin(BaseModelAdmin[Any]):
    """Uses these widgets in the forms of an admin, or of an inline."""

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> FormField | None:
        if isinstance(db_field, JSONField):
            return json_field(db_field, **kwargs)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", IdSelect(db_field, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any] | None:
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", IdSelectMultiple(db_field, self.admin_site))
        return super().formfield_for_manytomany(db_field, request, **kwargs)

"""Django's autocomplete widgets, made safe for invalid values in addresses and forms."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple

from ami.base.ids import parse_id


class IdSelect(AutocompleteSelect):
    """Ignores values that are not ids, with which Django's widget would fail."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> list[Any]:
        ids = [text for text in value if parse_id(str(text)) is not None]
        return list(super().optgroups(name, ids, attr))


class IdSelectMultiple(IdSelect, AutocompleteSelectMultiple):
    """The same for several values."""

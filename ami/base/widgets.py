"""Django's fields that search, made to draw what an address or a hand-made form may bring."""

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple

from ami.base.ids import parse_id


class IdSelect(AutocompleteSelect):
    """Leaves out what cannot be an id; Django's own would fail to draw it."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> list[Any]:
        ids = [text for text in value if parse_id(str(text)) is not None]
        return list(super().optgroups(name, ids, attr))


class IdSelectMultiple(IdSelect, AutocompleteSelectMultiple):
    """The same for several."""

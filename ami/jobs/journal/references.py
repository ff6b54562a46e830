"""The references between rows, and the unique values, that a revert keeps whole.

A reference that does nothing on deletion outlives its row: it records what once was.
"""

from collections.abc import Iterator
from typing import Any

from django.db import models

from ami.main.models import SourceImageCollection

# Rows x that refer to a row and do not keep it: a set of all captures has whatever there is.
LOOSE = {
    SourceImageCollection.images.through: "EXISTS (SELECT FROM main_sourceimagecollection s "
    "WHERE s.id = x.sourceimagecollection_id AND s.method = 'full')"
}


def keys_of(model: type[models.Model]) -> Iterator[Any]:
    """The foreign keys of a model whose row must exist."""
    for field in model._meta.concrete_fields:
        if isinstance(field, models.ForeignKey) and not _outlives(field):
            yield field


def keys_to(model: type[models.Model]) -> Iterator[Any]:
    """The foreign keys, of any model, that need a row of this model.

    Those of the tables behind many-to-many fields are hidden.
    """
    relation: Any
    for relation in model._meta.get_fields(include_hidden=True):
        is_key = relation.one_to_many or relation.one_to_one
        if is_key and relation.auto_created and not _outlives(relation.field):
            yield relation.field


def unique_columns(model: type[models.Model]) -> Iterator[list[str]]:
    """The columns, alone or together, of which no two rows may have the same values."""
    options = model._meta
    names = [[field.name] for field in options.concrete_fields if field.unique]
    names += [list(constraint.fields) for constraint in options.total_unique_constraints]
    names += map(list, options.unique_together)
    for group in names:
        fields = [options.get_field(name) for name in group]
        if not any(field.primary_key for field in fields):  # type: ignore[union-attr]
            yield [str(field.column) for field in fields]  # type: ignore[union-attr]


def _outlives(field: Any) -> bool:
    return bool(field.remote_field.on_delete is models.DO_NOTHING)

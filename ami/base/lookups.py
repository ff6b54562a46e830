"""Lookups for filters of long lists."""

from collections.abc import Set as AbstractSet
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigAutoField, ForeignObject, Lookup
from django.db.models.sql.compiler import SQLCompiler

from ami.base.ids import id_array


@BigAutoField.register_lookup
@ForeignObject.register_lookup
class AnyOf(Lookup[AbstractSet[int]]):
    """`pk__any_of=ids` is like `pk__in=ids`, with all ids in one parameter.

    Django prepares each value of `__in`, which takes longer than finding the rows of 1,000 ids. It
    also does so for lists and tuples, so pass a set.
    """

    lookup_name = "any_of"
    prepare_rhs = False
    rhs: AbstractSet[int]

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper
    ) -> tuple[str, list[Any]]:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", [*params, id_array(self.rhs)]

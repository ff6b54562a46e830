from typing import Any

from django.db.models import F, Func, IntegerField, OuterRef, QuerySet, Subquery


def count_subquery(rows: QuerySet[Any], field: str) -> Subquery:
    """How many of `rows` name the outer row in `field`.

    Correlated, so that only the rows that are read are counted; a grouped join would count for
    the whole table before the first page could be cut from it.
    """
    counted = rows.order_by().filter(**{field: OuterRef("pk")})
    number = Func(F("pk"), function="COUNT", output_field=IntegerField())
    return Subquery(counted.annotate(number=number).values("number"))


def cardinality(field: str) -> Func:
    """The length of an array column, without the array."""
    return Func(F(field), function="CARDINALITY", output_field=IntegerField())

from typing import Any

from django.db.models import Exists, F, Func, IntegerField, OuterRef, QuerySet, Subquery


def count_subquery(rows: QuerySet[Any], field: str) -> Subquery:
    """Count the `rows` that refer to the outer row in `field`.

    The subquery is correlated, so only the rows of a page are counted. A grouped join would count
    for the whole table first.
    """
    counted = rows.order_by().filter(**{field: OuterRef("pk")})
    number = Func(F("pk"), function="COUNT", output_field=IntegerField())
    return Subquery(counted.annotate(number=number).values("number"))


class Probe(Exists):
    """An EXISTS that PostgreSQL answers by one look-up per outer row.

    It never joins a subquery with an OFFSET. A join would read all rows that do not depend on the
    outer row, or start from them if the statistics say that they are few.
    """

    template = "EXISTS(%(subquery)s OFFSET 0)"


def cardinality(field: str) -> Func:
    """Return the length of an array column, without reading the array."""
    return Func(F(field), function="CARDINALITY", output_field=IntegerField())

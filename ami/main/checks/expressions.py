"""Conditions that the ORM has no words for."""

from typing import Any

from django.db.models import BooleanField, Func

from ami.base.subqueries import cardinality

# Every loop has a row that refers to a higher id or to itself: there each walk begins. UNION drops
# what was seen before, which ends the walk.
LOOPS = """
WITH RECURSIVE walk AS (
    SELECT id AS start, {parent} AS at FROM {table} WHERE {parent} >= id
    UNION
    SELECT walk.start, t.{parent} FROM walk JOIN {table} t ON t.id = walk.at
    WHERE t.{parent} IS NOT NULL
)
SELECT at FROM walk WHERE start IN (SELECT start FROM walk WHERE at = start)
"""


def loop_members(table: str, parent: str) -> str:
    """SQL for the ids of the rows from which the column `parent` leads back to themselves."""
    return LOOPS.format(table=table, parent=parent)


class NotDistinct(Func):
    """Whether two values are the same, be both of them null."""

    template = "(%(expressions)s)"
    arg_joiner = " IS NOT DISTINCT FROM "
    output_field = BooleanField()


class SoundBox(Func):
    """Whether a box is four finite numbers in order: x1 < x2, y1 < y2. NaN is above infinity."""

    template = """(
        SELECT cardinality(box) = 4 AND 'Infinity' > ALL (box) AND '-Infinity' < ALL (box)
               AND box[1] < box[3] AND box[2] < box[4]
        FROM (VALUES (%(expressions)s)) b (box)
    ) IS TRUE"""
    output_field = BooleanField()

    def __init__(self, box: Any) -> None:
        super().__init__(box)


class FarFromNight(Func):
    """Whether a time lies more than a day off the night of that name, noon to noon, in a time zone.

    Names are compared, not dates: a name that is not a date has no night. An evening's date is
    that of twelve hours ago.
    """

    template = r"""(
        SELECT CASE WHEN night = to_char(evening, 'YYYY-MM-DD') THEN false
               ELSE night ~ '^\d{4}-\d\d-\d\d$'
                    AND night <> to_char(evening - interval '1 day', 'YYYY-MM-DD')
                    AND night <> to_char(evening + interval '1 day', 'YYYY-MM-DD') END
        FROM (VALUES (%(expressions)s)) given (taken, night, zone),
             LATERAL (SELECT (taken AT TIME ZONE zone) - interval '12 hours' AS evening) e
    ) IS TRUE"""
    output_field = BooleanField()

    def __init__(self, time: str, night: str, zone: str) -> None:
        super().__init__(time, night, zone)


class OfAnotherLength(Func):
    """Whether a vector of a classification is of another length than the labels of its map.

    The lengths of the maps are hashed once; a join would read a map's labels for every row.
    """

    template = """(%(expressions)s) NOT IN (
        SELECT id, cardinality(labels) FROM ml_algorithmcategorymap)"""
    output_field = BooleanField()

    def __init__(self, vector: str) -> None:
        super().__init__("category_map", cardinality(vector))

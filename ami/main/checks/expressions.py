"""Conditions that the ORM cannot express."""

from typing import Any

from django.db.models import BooleanField, Func

from ami.base.subqueries import cardinality

# Every loop has a row that refers to a higher id or to itself, so each walk begins there. UNION
# drops rows that were seen before, which ends the walk.
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
    """Return SQL for the ids of rows whose column `parent` leads back to themselves."""
    return LOOPS.format(table=table, parent=parent)


class NotDistinct(Func):
    """Whether two values are equal, or both null."""

    template = "(%(expressions)s)"
    arg_joiner = " IS NOT DISTINCT FROM "
    output_field = BooleanField()


class InArray(Func):
    """Whether a value is in an array.

    PostgreSQL looks up the rows of an array with an index. For a subquery that it expects to return
    much more than it does, it would read the whole table.
    """

    template = "%(expressions)s)"
    arg_joiner = " = ANY ("
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
    """Whether a time is more than a day before or after the night of that name, in a time zone.

    A night is named after the date on which it begins, at the time of day `starts`. Names are
    compared as text, and a name that is not a date never matches.
    """

    template = r"""(
        SELECT CASE WHEN night = to_char(evening, 'YYYY-MM-DD') THEN false
               ELSE night ~ '^\d{4}-\d\d-\d\d$'
                    AND night <> to_char(evening - interval '1 day', 'YYYY-MM-DD')
                    AND night <> to_char(evening + interval '1 day', 'YYYY-MM-DD') END
        FROM (VALUES (%(expressions)s)) given (taken, night, zone, starts),
             LATERAL (SELECT (taken AT TIME ZONE zone) - starts::interval AS evening) e
    ) IS TRUE"""
    output_field = BooleanField()

    def __init__(self, time: str, night: str, zone: str, starts: str) -> None:
        super().__init__(time, night, zone, starts)


def far_from_night(time: str) -> str:
    """Return this condition as SQL, with the columns of the night and of its deployment."""
    columns = f"{time}, group_by, time_zone, night_starts"
    return FarFromNight.template % {"expressions": columns}


class OfAnotherLength(Func):
    """Whether the length of a classification's vector differs from the number of its map's labels.

    The lengths of all maps are hashed once; a join would read a map's labels for every row.
    """

    template = """(%(expressions)s) NOT IN (
        SELECT id, cardinality(labels) FROM ml_algorithmcategorymap)"""
    output_field = BooleanField()

    def __init__(self, vector: str) -> None:
        super().__init__("category_map", cardinality(vector))

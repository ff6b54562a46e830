"""The most probable classes of classifications, without reading their vectors."""

from collections.abc import Collection, Iterable
from math import isfinite
from typing import Any, NamedTuple

from django.db import connection

TOP = 5

# The vectors are unnested in PostgreSQL, so that only a few numbers are transferred. Logits become
# probabilities with a softmax; exp() of less than -700 would underflow, which is an error.
CLASSES = """
SELECT c.id, c.category_map_id, chosen.place, chosen.number,
       CASE WHEN c.scores IS NULL
            THEN exp(GREATEST(chosen.number - softmax.peak, -700)) / softmax.mass
            ELSE chosen.number END AS share
FROM main_classification c
CROSS JOIN LATERAL (
    SELECT number, place
    FROM unnest(COALESCE(c.scores, c.logits)) WITH ORDINALITY ranked (number, place)
    {chosen}
) chosen
LEFT JOIN LATERAL (
    SELECT peak, sum(exp(GREATEST(number - peak, -700))) AS mass
    FROM unnest(c.logits) number, (SELECT max(one) AS peak FROM unnest(c.logits) one) highest
    GROUP BY peak
) softmax ON c.scores IS NULL
WHERE c.id = ANY(%(ids)s)
ORDER BY c.id, chosen.number DESC NULLS LAST, chosen.place
"""
HIGHEST = f"ORDER BY number DESC NULLS LAST, place LIMIT {TOP}"
PLACED = "WHERE place = ANY(%(places)s)"

# Each map is unnested once; a subscript would decompress all labels for each class.
LABELS = """
SELECT m.id, named.place, named.label
FROM ml_algorithmcategorymap m, unnest(m.labels) WITH ORDINALITY named (label, place)
WHERE m.id = ANY(%s) AND named.place = ANY(%s)
"""


class Class(NamedTuple):
    """A class of a classification: its label, its score or logit, and its probability."""

    label: str
    number: float | None
    share: float | None
    place: int

    @property
    def width(self) -> float:
        """The length of its bar, in percent."""
        if self.share is None or not isfinite(self.share):
            return 0
        return round(100 * min(max(self.share, 0), 1), 2)


class Compared(NamedTuple):
    """A class before and after a run; either may be unknown."""

    label: str
    before: Class | None
    after: Class | None


def top_classes(ids: Collection[int]) -> dict[int, list[Class]]:
    """Return the most probable classes of each classification, in two queries."""
    return _labelled(_read(HIGHEST, ids=list(ids)))


def compare(before: int | None, after: int) -> list[Compared]:
    """Return the most probable classes of either classification, with the values of both."""
    ids = [pk for pk in (before, after) if pk is not None]
    rows = _read(HIGHEST, ids=ids)
    maps = {row[1] for row in rows}
    if len(ids) > 1 and len(maps) == 1:
        rows = _read(PLACED, ids=ids, places=sorted({row[2] for row in rows}))
    classes = _labelled(rows)
    first = {one.place: one for one in classes.get(before or 0, [])}
    second = {one.place: one for one in classes.get(after, [])}
    if len(maps) > 1:  # classes of two maps cannot be compared
        first = {}
    order = dict.fromkeys((*second, *first))
    return [
        Compared((second.get(place) or first[place]).label, first.get(place), second.get(place))
        for place in order
    ]


def _read(chosen: str, **values: Any) -> list[tuple[int, int | None, int, Any, Any]]:
    if not values["ids"]:
        return []
    with connection.cursor() as cursor:
        cursor.execute(CLASSES.format(chosen=chosen), values)
        return list(cursor.fetchall())


def _labelled(rows: Iterable[tuple[int, int | None, int, Any, Any]]) -> dict[int, list[Class]]:
    found = list(rows)
    maps = {row[1] for row in found if row[1] is not None}
    labels: dict[tuple[int, int], str] = {}
    if maps:
        with connection.cursor() as cursor:
            cursor.execute(LABELS, [list(maps), list({row[2] for row in found})])
            labels = {(pk, place): label for pk, place, label in cursor.fetchall()}
    classes: dict[int, list[Class]] = {}
    for pk, category_map, place, number, share in found:
        label = labels.get((category_map or 0, place), f"class {place - 1}, without a label")
        classes.setdefault(pk, []).append(Class(label, number, share, place))
    return classes

"""The names of occurrences by classifications alone, if a run changed some of these."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from ami.base.ids import id_array
from ami.main.models import Taxon
from ami.ml.post_processing.changes import NO_CHANGE, Change

# The detections of the occurrences, and some without one, with their classifications that have a
# taxon, oldest first.
READ = """
SELECT d.id, COALESCE(d.occurrence_id, 0), COALESCE(c.id, 0), COALESCE(t.id, 0),
       COALESCE(t.identifiable, false), COALESCE(c.terminal, false),
       COALESCE(c.score, '-Infinity')
FROM main_detection d
LEFT JOIN (main_classification c JOIN main_taxon t ON t.id = c.taxon_id) ON c.detection_id = d.id
WHERE d.occurrence_id = ANY(%s) OR d.id = ANY(%s)
ORDER BY c.timestamp, c.id
"""


class Rows(NamedTuple):
    """Classifications, the oldest first, with the places of their detections."""

    places: NDArray[np.intp]
    taxa: NDArray[np.int64]
    identifiable: NDArray[np.bool_]
    terminal: NDArray[np.bool_]
    scores: NDArray[np.float64]


class Standing:
    """The classifications of n occurrences as they are; `occurrences` are their ids.

    `movable` are the detections that a run may move, with their occurrences.
    """

    def __init__(
        self, occurrences: NDArray[np.int64], movable: Iterable[tuple[int, int | None]]
    ) -> None:
        pairs = list(movable)
        homes = {*occurrences.tolist(), *(home for _, home in pairs if home is not None)}
        loose = [pk for pk, home in pairs if home is None]
        with connection.cursor() as cursor:
            cursor.execute(READ, [id_array(homes), id_array(loose)])
            columns: Any = list(zip(*cursor.fetchall(), strict=True)) or [()] * 7
        self.occurrences = occurrences
        detections, of, self.pks, taxa = (np.array(one, dtype=np.int64) for one in columns[:4])
        self.by_pk = np.argsort(self.pks)
        # The detections, and the occurrence of each, 0 for none.
        self.detections, first, places = np.unique(
            detections, return_index=True, return_inverse=True
        )
        self.homes = of[first]
        identifiable, terminal = (np.array(column, dtype=bool) for column in columns[4:6])
        scores = np.array(columns[6], dtype=float)
        self.rows = Rows(places, taxa, identifiable, terminal, scores)
        self._identifiable: dict[int, bool] = {}

    def names(self, change: Change = NO_CHANGE) -> NDArray[np.int64]:
        """The taxon of each occurrence after a change; 0 for none, or one of no species.

        An occurrence that loses all its detections is the one that the first of them joins.
        """
        terminal = self.rows.terminal.copy()
        for changed, stays in ((change.superseded, False), (change.restored, True)):
            terminal[self.by_pk[_found(changed, self.pks[self.by_pk])[0]]] = stays
        own = zip(self.rows._replace(terminal=terminal), self._written(change), strict=True)
        columns: Any = map(np.concatenate, own)
        rows = Rows(*columns)
        homes, asked = self._moved(change)
        owners = homes[rows.places]
        # The rule of `ami.main.determinations`; the sort is stable, so the latest of equals wins.
        order = np.lexsort((rows.scores, rows.identifiable, rows.terminal, owners))
        order = order[(rows.taxa[order] != 0) & (owners[order] != 0)]
        best = order[np.flatnonzero(np.diff(owners[order], append=0))]
        names = np.zeros(len(asked), dtype=np.int64)
        at, named = _found(asked, owners[best])
        names[named] = np.where(rows.identifiable[best], rows.taxa[best], 0)[at]
        return names

    def _moved(self, change: Change) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The occurrence of each detection, and what each of the n occurrences is afterwards."""
        at, known = _found(change.moved, self.detections)
        homes, asked = self.homes.copy(), self.occurrences.copy()
        homes[at] = change.homes[known]
        left, first = np.unique(self.homes[at], return_index=True)
        places, moved = _found(asked, left)
        emptied = moved & ~np.isin(asked, homes)
        asked[emptied] = change.homes[known][first[places[emptied[moved]]]]
        return homes, asked

    def _written(self, change: Change) -> Rows:
        """The new classifications of these occurrences."""
        at, known = _found(change.detections, self.detections)
        taxa, of = np.unique(change.taxa[known], return_inverse=True)
        unknown = [pk for pk in taxa.tolist() if pk not in self._identifiable]
        if unknown:
            found = Taxon.objects.filter(pk__in=unknown).values_list("pk", "identifiable")
            self._identifiable.update(found)
        told = [self._identifiable.get(pk, False) for pk in taxa.tolist()]
        identifiable = np.array(told, dtype=bool)
        terminal = np.ones(len(at), dtype=bool)
        scores = change.scores[known]
        return Rows(at, taxa[of], identifiable[of], terminal, scores)


def _found(ids: NDArray[np.int64], among: NDArray[np.int64]) -> tuple[Any, Any]:
    """The places of the ids in an ascending array, and which of the ids are there."""
    places = np.searchsorted(among, ids)
    places[places == len(among)] = 0
    known = among[places] == ids if len(among) else np.zeros(len(ids), dtype=bool)
    return places[known], known

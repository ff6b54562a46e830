"""The names of occurrences by classifications alone, if some of these were superseded."""

from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from ami.base.ids import id_array
from ami.main.models import Taxon
from ami.ml.post_processing.changes import Change

# All detections of the occurrences, with their classifications that have a taxon, oldest first.
READ = """
SELECT d.id, d.occurrence_id, COALESCE(c.id, 0), COALESCE(t.id, 0),
       COALESCE(t.identifiable, false), COALESCE(c.terminal, false),
       COALESCE(c.score, '-Infinity')
FROM main_detection d
LEFT JOIN (main_classification c JOIN main_taxon t ON t.id = c.taxon_id) ON c.detection_id = d.id
WHERE d.occurrence_id = ANY(%s)
ORDER BY c.timestamp, c.id
"""


class Rows(NamedTuple):
    """Classifications, the oldest first, with the places of their occurrences."""

    places: NDArray[np.intp]
    taxa: NDArray[np.int64]
    identifiable: NDArray[np.bool_]
    terminal: NDArray[np.bool_]
    scores: NDArray[np.float64]


class Standing:
    """The classifications of n occurrences as they are; `occurrences` are their ids."""

    def __init__(self, occurrences: NDArray[np.int64]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(READ, [id_array(occurrences.tolist())])
            columns: Any = list(zip(*cursor.fetchall(), strict=True)) or [()] * 7
        self.number = len(occurrences)
        order = np.argsort(occurrences)
        ids = (np.array(column, dtype=np.int64) for column in columns[:4])
        detections, homes, self.pks, taxa = ids
        places = order[np.searchsorted(occurrences, homes, sorter=order)]
        self.by_pk = np.argsort(self.pks)
        # The place of the occurrence of each detection.
        self.detections, first = np.unique(detections, return_index=True)
        self.homes = places[first]
        identifiable, terminal = (np.array(column, dtype=bool) for column in columns[4:6])
        scores = np.array(columns[6], dtype=float)
        self.rows = Rows(places, taxa, identifiable, terminal, scores)
        self._identifiable: dict[int, bool] = {}

    def names(self, change: Change | None = None) -> NDArray[np.int64]:
        """The taxon of each occurrence after a change; 0 for none, or one of no species."""
        rows = self.rows
        if change is not None:
            terminal = rows.terminal.copy()
            for changed, stays in ((change.superseded, False), (change.restored, True)):
                terminal[self.by_pk[_found(changed, self.pks[self.by_pk])[0]]] = stays
            own = zip(rows._replace(terminal=terminal), self._written(change), strict=True)
            columns: Any = map(np.concatenate, own)
            rows = Rows(*columns)
        # The rule of `ami.main.determinations`; the sort is stable, so the latest of equals wins.
        order = np.lexsort((rows.scores, rows.identifiable, rows.terminal, rows.places))
        order = order[rows.taxa[order] != 0]
        places = rows.places[order]
        best = order[np.flatnonzero(np.diff(places, append=self.number))]
        names = np.zeros(self.number, dtype=np.int64)
        names[rows.places[best]] = np.where(rows.identifiable[best], rows.taxa[best], 0)
        return names

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
        return Rows(self.homes[at], taxa[of], identifiable[of], terminal, scores)


def _found(ids: NDArray[np.int64], among: NDArray[np.int64]) -> tuple[Any, Any]:
    """The places of the ids in an ascending array, and which of the ids are there."""
    places = np.searchsorted(among, ids)
    places[places == len(among)] = 0
    known = among[places] == ids if len(among) else np.zeros(len(ids), dtype=bool)
    return places[known], known

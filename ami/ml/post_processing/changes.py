"""What a run would change, so that many values of an option can be compared without a run each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ami.base.vectors import Vector
from ami.main.models import Classification
from ami.ml.models import Algorithm
from ami.ml.post_processing.deriving import (
    CategoryMaps,
    Matrix,
    Source,
    Tally,
    by_category_map,
    read_matrix,
    split,
)
from ami.ml.post_processing.labels import LabelTaxa

Ids: TypeAlias = NDArray[np.int64]

NONE: Ids = np.empty(0, dtype=np.int64)


class Change(NamedTuple):
    """What a run would supersede, restore, write and move.

    `superseded` and `restored` are ids of classifications. `detections`, `taxa` and `scores` have
    one entry per new terminal classification, in the order in which they would be written. `moved`
    are detections in the order of time, and `homes` their new occurrences; an occurrence to create
    has a negative id.
    """

    superseded: Ids
    restored: Ids
    detections: Ids
    taxa: Ids
    scores: Vector
    moved: Ids = NONE
    homes: Ids = NONE

    @classmethod
    def of(
        cls,
        sources: Sequence[Source],
        chosen: ArrayLike,
        taxa: Ids,
        scores: Vector,
        *,
        restored: ArrayLike = (),
    ) -> "Change":
        """New classifications in the place of the `chosen` sources, which are given by places.

        `taxa` and `scores` have one entry per chosen source.
        """
        places, back = (np.asarray(one, dtype=np.intp) for one in (chosen, restored))
        own = np.array([(row.pk, row.detection_id) for row in sources], dtype=np.int64)
        pks, detections = own.reshape(-1, 2).T
        return cls(pks[places], pks[back], detections[places], taxa, scores)

    @classmethod
    def joined(cls, changes: Iterable["Change"]) -> "Change":
        """All of these changes together."""
        return cls(*map(np.concatenate, zip(NO_CHANGE, *changes, strict=True)))


NO_CHANGE = Change(NONE, NONE, NONE, NONE, np.empty(0))


# Takes the sources of one category map and their vectors; returns one change per set of options.
Rule: TypeAlias = Callable[[LabelTaxa, Sequence[Source], Matrix], Iterable[Change]]


def compare_derived(
    sources: Iterable[Source],
    rule: Rule,
    *,
    vectors: str,
    maps: CategoryMaps,
    author: Algorithm,
    tally: Tally,
) -> Iterator[list[Change]]:
    """What `rule` would change, some sources at a time; each vector is read once.

    Results of `author` for the sources give way, too, as in :func:`deriving.derive`.
    """
    for labels, rows in by_category_map(sources, maps=maps, tally=tally):
        for some in split(rows, width=len(labels.labels)):
            sound, matrix = read_matrix(some, vectors, width=len(labels.labels), tally=tally)
            results = Classification.objects.filter(
                applied_to__any_of={row.pk for row in sound}, algorithm=author, terminal=True
            )
            pairs = np.array(list(results.values_list("pk", "applied_to_id")), dtype=np.int64)
            former, of = pairs.reshape(-1, 2).T
            yield [
                change._replace(
                    superseded=np.concatenate(
                        [
                            change.superseded,
                            former[np.isin(of, change.superseded) | np.isin(of, change.restored)],
                        ]
                    )
                )
                for change in rule(labels, sound, matrix)
            ]

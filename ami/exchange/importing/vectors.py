"""The labels to which scores and logits of a file refer, compared with those in the database."""

from collections.abc import Iterator

from ami.exchange.reading.records import AlgorithmRecord, DetectionRecord, Fault
from ami.ml.models import Algorithm


class Vectors:
    """Looks for algorithms with another category map than that of the file.

    The numbers of a vector are in the order of the labels, so they mean nothing with other labels.
    """

    def __init__(self) -> None:
        self._seen: set[AlgorithmRecord] = set()

    def faults(self, detection: DetectionRecord) -> Iterator[Fault]:
        """Yield a fault for each algorithm that has vectors here and other labels there, once."""
        for one in detection.classifications:
            has_vector = one.scores is not None or one.logits is not None
            if has_vector and one.algorithm and one.algorithm not in self._seen:
                self._seen.add(one.algorithm)
                yield from _compared(one.algorithm, detection.place)


def _compared(record: AlgorithmRecord, place: str) -> Iterator[Fault]:
    known = Algorithm.objects.filter(
        name=record.name, version=record.version, category_map__isnull=False
    )
    for labels in known.values_list("category_map__labels", flat=True):
        if list(record.labels) != labels:
            yield Fault(
                place,
                f"the {len(record.labels):,} labels of algorithm {record.name!r}, version "
                f"{record.version}, are not the {len(labels):,} labels of its category map in the "
                "database, or have another order. Give the algorithm of the file another version.",
            )

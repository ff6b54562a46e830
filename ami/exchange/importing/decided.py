"""What the names of a file stand for: decided when the import is planned, for all of its batches.

A name without a row is decided by the batch that first needs it, which finds or creates the row.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ami.exchange.reading.records import AlgorithmRecord, OccurrenceRecord
from ami.main.resolver import resolve_names
from ami.main.taxonomy import IMPORT_ALGORITHM
from ami.ml.models import Algorithm

OWN = AlgorithmRecord(IMPORT_ALGORITHM)  # of labels without an algorithm
# Under these names, a page tells what has changed since the plan.
TAXA, ALGORITHMS = "Taxa of the names in the file", "Algorithms in the file"


class Names(NamedTuple):
    """The distinct labels of a file, and the keys of its algorithms."""

    labels: set[str]
    algorithms: set[str]

    def add(self, record: OccurrenceRecord) -> None:
        """Add what an occurrence, its detections and its identifications name."""
        if record.label:
            self.labels.add(record.label)
        self.labels.update(said.label for said in record.identifications)
        for detection in record.detections:
            if detection.algorithm:
                self.algorithms.add(key_of(detection.algorithm))
            for one in detection.classifications:
                self.labels.add(one.label)
                self.algorithms.add(key_of(one.algorithm or OWN))


def key_of(record: AlgorithmRecord) -> str:
    """Return the name and the version, such as "Moth net v3"."""
    return f"{record.name} v{record.version}"


def consult(names: Names) -> dict[str, Any]:
    """Return what the names stand for at present, as part of :meth:`PlannedWork.consult`.

    A label has the id of a taxon, or None. An algorithm has its id and that of its category map, of
    which each may be None.
    """
    taxa = resolve_names(names.labels).taxa if names.labels else {}
    named = {key.rpartition(" v")[0] for key in names.algorithms}
    rows = Algorithm.objects.filter(name__in=named).values_list(
        "name", "version", "pk", "category_map"
    )
    known = {f"{name} v{version}": [pk, category_map] for name, version, pk, category_map in rows}
    return {
        TAXA: {label: taxa.get(label) for label in sorted(names.labels)},
        ALGORITHMS: {key: known.get(key, [None, None]) for key in sorted(names.algorithms)},
    }


@dataclass
class Decided:
    """The ids of taxa by label, and those of algorithms and their category maps by key.

    `late` holds those that a batch has decided, as JSON by the names of their kinds; they are
    stored with the batch.
    """

    planned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    late: dict[str, dict[str, Any]] = field(default_factory=dict)

    def taxa(self, labels: Collection[str]) -> dict[str, int]:
        """Return the taxa of those labels for which one is decided."""
        found = {label: self._of(TAXA, label) for label in labels}
        return {label: pk for label, pk in found.items() if pk is not None}

    def algorithm(self, record: AlgorithmRecord) -> tuple[int | None, int | None]:
        """Return the ids of an algorithm and of its category map, as far as they are decided."""
        pk, category_map = self._of(ALGORITHMS, key_of(record)) or (None, None)
        return pk, category_map

    def decide(self, kind: str, name: str, value: Any) -> None:
        """Keep what a name stands for from now on, unless that is known."""
        if self._of(kind, name) != value:
            self.late.setdefault(kind, {})[name] = value

    def as_planned(self, present: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return present values, where those that the import itself has decided are as before."""
        return {
            kind: {name: self._as_planned(kind, name, value) for name, value in values.items()}
            for kind, values in present.items()
        }

    def _as_planned(self, kind: str, name: str, value: Any) -> Any:
        late = self.late.get(kind, {})
        if name not in late:
            return value
        # Within a list, it differs from the plan, even if the row is as absent as it was then.
        return self.planned[kind][name] if late[name] == value else [value]

    def _of(self, kind: str, name: str) -> Any:
        late = self.late.get(kind, {})
        return late[name] if name in late else self.planned.get(kind, {}).get(name)

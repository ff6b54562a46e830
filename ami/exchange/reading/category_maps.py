"""The algorithms of results, with the labels of their category maps."""

from dataclasses import dataclass, field
from typing import Any

from ami.exchange.reading.antenna import algorithm_of
from ami.exchange.reading.json_row import JsonRow
from ami.exchange.reading.records import AlgorithmRecord
from ami.exchange.reading.validation import check_name

Labels = tuple[str, ...]
NO_LABELS: Labels = ()
MAX_KEY = 2**31 - 1


@dataclass
class Algorithms:
    """The algorithms of all files, each version of which has the same labels everywhere."""

    _known: dict[tuple[str, int], AlgorithmRecord] = field(default_factory=dict)
    _indexes: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)

    def read(self, row: JsonRow) -> AlgorithmRecord:
        """Return the algorithm that an object describes, with its category map."""
        found, category_map = algorithm_of(row), row.row("category_map")
        if category_map is None:
            return self._known.setdefault(found[:2], found)
        labels, keys = _read_map(category_map)
        return self.labelled(found._replace(gbif_keys=keys), labels, category_map, "labels")

    def labelled(
        self, algorithm: AlgorithmRecord, labels: Labels, row: JsonRow, key: str
    ) -> AlgorithmRecord:
        """Return the algorithm with the labels, which `row` tells at `key`.

        It is a fault if other labels are known of it. Without labels, the known ones are kept.
        """
        known = self._known.get(algorithm[:2], algorithm)
        if not labels or known.labels == labels:
            return self._known.setdefault(known[:2], known)
        if known.labels:
            row.refuse(
                key,
                f"differ from the labels of {known.name!r}, version {known.version}, before; "
                "give other labels another version.",
            )
            return known
        self._known[known[:2]] = algorithm._replace(labels=labels)
        return self._known[known[:2]]

    def index(self, algorithm: AlgorithmRecord, label: str) -> int | None:
        """Return the place of a label among those of the algorithm, or None."""
        indexes = self._indexes.get(algorithm[:2])
        if indexes is None:
            numbered = enumerate(algorithm.labels)
            indexes = self._indexes[algorithm[:2]] = {name: number for number, name in numbered}
        return indexes.get(label)


def check_labels(value: Any) -> Labels:
    if not isinstance(value, list):
        raise ValueError("must be a list of labels")
    labels = tuple(check_name(one) for one in value)
    if len(set(labels)) != len(labels):
        raise ValueError("must have each label once")
    return labels


def _read_map(row: JsonRow) -> tuple[Labels, tuple[int | None, ...]]:
    """Return the labels in the order of the scores, and their GBIF keys if there are any."""
    told = row.get("labels", check_labels, NO_LABELS)
    entries = row.rows("data") if row.values.get("data") else []  # {} stands for none
    classes = sorted(
        (one.need("index", _check_index, 0), one.need("label", check_name, ""), number)
        for number, one in enumerate(entries)
    )
    labels = tuple(label for _, label, _ in classes)
    if [index for index, _, _ in classes] != list(range(len(classes))):
        row.refuse("data", f"must have each index from 0 to {len(classes) - 1} once.")
    elif len(set(labels)) != len(labels):
        row.refuse("data", "must have each label once.")
    elif told and labels and told != labels:
        row.refuse("labels", "differ from the labels of data; remove one of the two.")
    keys = tuple(entries[number].get("gbif_key", _check_key, None) for _, _, number in classes)
    return labels or told, keys if any(keys) else ()


def _check_index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _check_key(value: Any) -> int | None:
    """Return a GBIF key, which may be text, and -1 for none."""
    whole = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if _check_index(whole) > MAX_KEY or whole < -1:
        raise ValueError("must be a key of GBIF, a whole number above 0")
    return whole if whole > 0 else None

"""What a file says differently from the detections and classifications that exist."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ami.base.models import change_rows
from ami.exchange.importing.decided import OWN
from ami.exchange.plan import Change, Outcome
from ami.exchange.reading.records import ClassificationRecord
from ami.main.models import Classification, Detection

if TYPE_CHECKING:
    from ami.exchange.importing.detections import Found
    from ami.exchange.importing.writing import Portion

Known = dict[int, dict[int | None, list[Classification]]]


class _Pair(NamedTuple):
    """A classification that exists, and the record that says something else."""

    row: Classification
    record: ClassificationRecord


def known_classifications(portion: "Portion") -> Known:
    """Return the classifications of known detections by detection and algorithm, oldest first."""
    found: Known = defaultdict(lambda: defaultdict(list))
    ids = [one.pk for one in portion.every() if one.known or one.is_repeated]
    if ids:
        rows = Classification.objects.filter(detection__in=ids).select_related("taxon")
        for row in rows.defer("scores", "logits").order_by("pk"):
            found[row.detection_id][row.algorithm_id].append(row)
    return found


def detections(portion: "Portion", known: Known) -> None:
    """Tell the plan what differs for detections that exist, and change it if that is asked for."""
    crops: list[Detection] = []
    pairs: list[_Pair] = []
    for record in portion.occurrences:
        for found in portion.detections[id(record)]:
            if found.known is None:
                continue
            differing = list(_differing(found, known, portion))
            changes = [change for pair in differing for change in _changes(pair, portion)]
            crop = found.record.crop
            if crop and found.known.path != crop:
                changes.append(Change("crop", found.known.path, crop))
            if not changes:
                portion.plan.count(Outcome.UNCHANGED, Detection)
                continue
            name = ", ".join(filter(None, (record.key, found.record.capture.path)))
            outcome = Outcome.CHANGED if portion.options.update else Outcome.DIFFERS
            portion.plan.add(outcome, Detection, name, found.record.place, changes=changes)
            if portion.options.update:
                pairs += differing
                if crop:
                    found.known.path = crop
                    crops.append(found.known)
                portion.touched |= {found.occurrence_id} if found.occurrence_id else set()
    _change(crops, pairs, portion)


def _differing(found: "Found", known: Known, portion: "Portion") -> Iterator[_Pair]:
    rows = {key: list(same) for key, same in known[found.pk].items()}
    for one in found.record.classifications:
        same = rows.get(portion.parents.algorithms[one.algorithm or OWN].pk)
        if same and next(_changes(pair := _Pair(same.pop(0), one), portion), None):
            yield pair


def _changes(pair: _Pair, portion: "Portion") -> Iterator[Change]:
    row, record = pair
    if row.taxon_id != portion.parents.taxa[record.label]:
        yield Change("taxon", row.taxon and row.taxon.name, record.label)
    if record.score not in (None, row.score):
        yield Change("score", row.score, record.score)


def _change(crops: list[Detection], pairs: list[_Pair], portion: "Portion") -> None:
    with_vectors = []
    for row, record in pairs:
        row.taxon_id = portion.parents.taxa[record.label]
        row.score = row.score if record.score is None else record.score
        if record.scores is not None:
            row.scores, row.logits = record.scores, record.logits
            with_vectors.append(row)
    change_rows(crops, ["path"])
    change_rows([pair.row for pair in pairs], ["taxon", "score"])
    change_rows(with_vectors, ["scores", "logits"])

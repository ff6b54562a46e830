"""The taxa of the labels of a file with occurrences or detections."""

from collections.abc import Mapping
from types import MappingProxyType

from ami.base.models import change_rows
from ami.exchange.base import ImportRefusedError, shown
from ami.exchange.plan import ImportPlan, Outcome
from ami.main.models import Taxon
from ami.main.models.taxon import NOT_IDENTIFIABLE, TaxonRank
from ami.main.names import Name, read_name
from ami.main.resolver import resolve_names

BATCH = 500
NOTHING: Mapping[str, int] = MappingProxyType({})
MAX_LENGTH = 255  # of the name of a taxon


def take_labels(
    labels: Mapping[str, str], plan: ImportPlan, *, decided: Mapping[str, int] = NOTHING
) -> dict[str, int]:
    """Return the taxon id of each label, and create the taxa that are missing.

    `labels` holds the place of each label in the file. A label is a name, which stands for the
    taxon in `decided`, or else for the one that :func:`ami.main.resolver.resolve_names` finds.
    Labels of one name share one taxon. A
    new taxon has the rank that the form of its name shows, and the parent that its name contains,
    if that one exists. A label that names no species never becomes one, and is listed in the plan.
    Raises ImportRefusedError if a label contains no name, or one that is too long for a taxon, or
    if a decided taxon no longer exists.
    """
    _check_decided(decided, labels)
    found = {**decided, **resolve_names(labels.keys() - decided.keys()).taxa}
    names = {label: read_name(label) for label in labels}
    _check_names(names, labels)
    missing = _best({label: name for label, name in names.items() if label not in found})
    created = {key: _new(name) for key, name in missing.items()}
    Taxon.objects.bulk_create(created.values(), batch_size=BATCH)
    _place(missing, created)
    new = {key: row.pk for key, row in created.items()}
    told: set[str] = set()
    for label, place in labels.items():
        name = names[label]
        is_new = label not in found and name.key not in told
        told.add(name.key)
        outcome = Outcome.CREATED if is_new else Outcome.UNCHANGED
        reason = f"{name.caveat}." if name.caveat else ""
        plan.add(outcome, Taxon, label, place, reason=reason)
    return {label: found.get(label) or new[names[label].key] for label in labels}


def _check_decided(decided: Mapping[str, int], places: Mapping[str, str]) -> None:
    """Refuse labels whose taxon was deleted since it was decided that they stand for it."""
    ids = set(decided.values())
    gone = ids - set(Taxon.objects.filter(pk__any_of=ids).values_list("pk", flat=True))
    if gone:
        raise ImportRefusedError(
            *(
                f"{places[label]}: the taxon {pk}, for which the label {shown(label)} stood when "
                "the import was planned, was deleted. Import the file again."
                for label, pk in decided.items()
                if pk in gone
            )
        )


def _check_names(names: Mapping[str, Name], places: Mapping[str, str]) -> None:
    """Refuse labels whose normal form is empty, or too long for the name of a taxon."""
    faults = []
    for label, name in names.items():
        if not name.text:
            faults.append(f"{places[label]}: the label {shown(label)} contains no name.")
        elif len(name.text) > MAX_LENGTH:
            faults.append(
                f"{places[label]}: the normal form of the label {shown(label)} must be at most "
                f"{MAX_LENGTH} characters long, got {len(name.text)}."
            )
    if faults:
        raise ImportRefusedError(*faults)


def _best(names: Mapping[str, Name]) -> dict[str, Name]:
    """Return one name per key: the first whose form shows its rank, or else the first."""
    best: dict[str, Name] = {}
    for name in names.values():
        known = best.setdefault(name.key, name)
        if known.rank == TaxonRank.UNKNOWN != name.rank:
            best[name.key] = name
    return best


def _new(name: Name) -> Taxon:
    # A label of one word may be a group of the classifier's own, so its rank stays open.
    rank = name.rank if name.above or name.doubt else TaxonRank.UNKNOWN
    return Taxon(name=name.text, rank=rank, identifiable=name.text != NOT_IDENTIFIABLE)


def _place(names: Mapping[str, Name], created: Mapping[str, Taxon]) -> None:
    """Set the parents of the new taxa, where the taxon that a name contains exists."""
    found = resolve_names({text for name in names.values() for text, _ in name.above}).taxa
    placed = []
    for key, name in names.items():
        parents = (found.get(text) for text, _ in name.above)
        if parent := next(filter(None, parents), None):
            created[key].parent_id = parent
            placed.append(created[key])
    change_rows(placed, ["parent"])

"""What people say in a file: identifications, kept in the name of the user "Import"."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from django.utils import timezone

from ami.base.copying import copy_rows, next_ids
from ami.base.models import change_rows
from ami.exchange.plan import Change, Outcome
from ami.exchange.reading.records import IdentificationRecord, OccurrenceRecord
from ami.main.models import Identification
from ami.users.models import User

if TYPE_CHECKING:
    from ami.exchange.importing.detections import Found
    from ami.exchange.importing.writing import Portion

IMPORTER = "import@example.invalid"  # an address that no mail reaches
DETERMINED = "The determination in the imported file."
COLUMNS = (
    "id",
    "created_at",
    "user_id",
    "taxon_id",
    "occurrence_id",
    "withdrawn",
    "comment",
    "agreed_with_prediction_id",
    "agreed_with_identification_id",
    "blind",
)


def importer() -> User:
    """Return the person in whose name identifications of files are kept; nobody signs in as it."""
    user, created = User.objects.get_or_create(
        email=IMPORTER, defaults={"name": "Import", "is_active": False}
    )
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def identify(portion: "Portion") -> None:
    """Keep what people say in the file.

    A determination that no detection of the occurrence has was given by a person, too. An
    occurrence that somebody has identified here keeps what they said.
    """
    wanted = list(_wanted(portion))
    if not wanted:
        return
    user = importer()
    here, known = _known({occurrence_id for occurrence_id, _ in wanted}, user)
    missing: list[_Said] = []
    changed: list[Identification] = []
    ids: dict[str, int] = {}
    for occurrence_id, said in wanted:
        new = []
        for one in said:
            if rows := known.get((occurrence_id, *one.sense(portion))):
                row = rows.pop(0)
                if _compare(row, one, portion):
                    changed.append(row)
                if one.identification.key:
                    ids[one.identification.key] = row.pk
            else:
                new.append(one)
        if new and occurrence_id in here:
            record = new[0].record
            reason = "was identified here, so what people say in the file is left out."
            name = record.key or record.place
            portion.plan.add(Outcome.SKIPPED, Identification, name, record.place, reason=reason)
        else:
            missing += new
    _write(missing, ids, user, portion)
    change_rows(changed, ["withdrawn"])
    portion.touched |= {row.occurrence_id for row in changed}


class _Said(NamedTuple):
    """An identification of the file, with the first detection of its occurrence."""

    found: "Found"
    record: OccurrenceRecord
    identification: IdentificationRecord

    def sense(self, portion: "Portion") -> tuple[int, str]:
        """By what an identification of an occurrence is found: its taxon, and its comment."""
        return portion.parents.taxa[self.identification.label], _comment(self.identification)

    def time(self, portion: "Portion", now: datetime) -> datetime:
        """When it was given; not in the future, so that what people say later is the latest."""
        capture = self.found.record.capture
        return min(portion.parents.aware(self.identification.timestamp, capture) or now, now)


def _wanted(portion: "Portion") -> Iterator[tuple[int, list[_Said]]]:
    """Yield the occurrences about which the file says something, with that."""
    given: set[tuple[int, int, str]] = set()
    for record in portion.occurrences:
        found = portion.detections[id(record)][0]
        if found.occurrence_id is None:
            continue
        said = [_Said(found, record, one) for one in _identifications(record, portion)]
        senses = [(found.occurrence_id, *one.sense(portion)) for one in said]
        if found.is_repeated:  # of what a repeated occurrence says as well, one is enough
            said = [one for one, sense in zip(said, senses, strict=True) if sense not in given]
        given.update(senses)
        if said:
            yield found.occurrence_id, said


def _identifications(record: OccurrenceRecord, portion: "Portion") -> list[IdentificationRecord]:
    if record.identifications or not record.label:
        return record.identifications
    taxa = portion.parents.taxa
    classified = {
        taxa[one.label] for detection in record.detections for one in detection.classifications
    }
    if taxa[record.label] in classified:
        return []
    return [IdentificationRecord(record.label, comment=DETERMINED)]


def _known(
    wanted: set[int], user: User
) -> tuple[set[int], dict[tuple[int, int | None, str], list[Identification]]]:
    """Return the occurrences that people identified here, and what was imported before."""
    here: set[int] = set()
    known = defaultdict(list)
    for row in Identification.objects.filter(occurrence__in=wanted).order_by("pk"):
        if row.user_id == user.pk:
            known[row.occurrence_id, row.taxon_id, row.comment].append(row)
        elif not row.withdrawn:
            here.add(row.occurrence_id)
    return here, known


def _compare(row: Identification, said: _Said, portion: "Portion") -> bool:
    """Tell the plan whether the person has withdrawn it; returns whether it is to be changed."""
    withdrawn = said.identification.withdrawn
    if row.withdrawn == withdrawn:
        portion.plan.count(Outcome.UNCHANGED, Identification)
        return False
    outcome = Outcome.CHANGED if portion.options.update else Outcome.DIFFERS
    name = f"{said.record.key or said.record.place}, {said.identification.label}"
    changes = [Change("withdrawn", row.withdrawn, withdrawn)]
    portion.plan.add(outcome, Identification, name, said.record.place, changes=changes)
    row.withdrawn = withdrawn
    return portion.options.update


def _comment(one: IdentificationRecord) -> str:
    return ": ".join(filter(None, (one.person, one.comment)))


def _write(missing: list[_Said], known: dict[str, int], user: User, portion: "Portion") -> None:
    """Insert identifications; `known` holds the ids of others by their keys in the file."""
    if not missing:
        return
    ids = next_ids(Identification, len(missing))
    said = [one.identification for one in missing]
    by_key = known | {one.key: pk for pk, one in zip(ids, said, strict=True) if one.key}
    now = timezone.now()
    rows = [
        (
            pk,
            one.time(portion, now),
            user.pk,
            portion.parents.taxa[one.identification.label],
            one.found.occurrence_id,
            one.identification.withdrawn,
            _comment(one.identification),
            portion.classified.get(one.identification.agreed_with_prediction),
            by_key.get(one.identification.agreed_with_identification),
            one.identification.blind,
        )
        for pk, one in zip(ids, missing, strict=True)
    ]
    copy_rows(Identification, COLUMNS, rows)
    portion.plan.count(Outcome.CREATED, Identification, len(missing))
    portion.touched |= {one.found.occurrence_id for one in missing if one.found.occurrence_id}

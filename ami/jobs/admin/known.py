"""The rows that changes name, with names, and where they belong: a detection and an occurrence."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import BigIntegerField, F, Model, OuterRef, Subquery, TextField, Value

from ami.main.models import Classification, Detection, Identification, Occurrence, Taxon
from ami.ml.models import Algorithm

NAMED = (Taxon, Algorithm)
NONE = Value(None, output_field=BigIntegerField())
FIRST = Detection.objects.filter(occurrence=OuterRef("pk")).order_by("pk").values("pk")[:1]

# For each model, the row that its rows belong to, or show: a column and the model. A model comes
# before those that it leads to, so that one query per model finds them all.
LEADS: dict[type[Model], tuple[Any, type[Model]]] = {
    Classification: (F("detection_id"), Detection),
    Identification: (F("occurrence_id"), Occurrence),
    Detection: (F("occurrence_id"), Occurrence),
    Occurrence: (Subquery(FIRST), Detection),
}


class Place(NamedTuple):
    """The detection whose crop shows a row, and the occurrence of the row; None if unknown."""

    detection: int | None
    occurrence: int | None


class KnownRows(dict[type[Model], dict[int, str | None]]):
    """The existing rows by model and id, with the names of taxa and algorithms."""

    def __init__(self) -> None:
        super().__init__()
        self.leads: dict[type[Model], dict[int, int | None]] = defaultdict(dict)

    def place(self, model: type[Model], pk: int, *sides: Any) -> Place:
        """Where a row belongs. `sides` are its values in the journal, in case it is gone."""
        detection = occurrence = None
        if model is Occurrence:
            occurrence, detection = pk, self.leads[model].get(pk)
        elif model is Detection:
            detection = pk if pk in self[model] else None
            occurrence = self.leads[model].get(pk) or _column(sides, "occurrence_id")
        elif model is Classification:
            detection = self.leads[model].get(pk) or _column(sides, "detection_id")
            occurrence = self.leads[Detection].get(detection or 0)
        elif model is Identification:
            occurrence = self.leads[model].get(pk) or _column(sides, "occurrence_id")
            detection = self.leads[Occurrence].get(occurrence or 0)
        return Place(detection, occurrence)


def known_rows(changes: Iterable[tuple[str, int, Any, Any]]) -> KnownRows:
    """Read the rows of changes, given as label, id and the two sides; one query per model."""
    ids: dict[type[Model], set[int]] = defaultdict(set)
    for label, pk, *sides in changes:
        ids[apps.get_model(label)].add(pk)
        for column, target in targets(label).items():
            ids[target].update(filter(None, (_column([side], column) for side in sides)))
    known = KnownRows()
    for model in [*LEADS, *(model for model in list(ids) if model not in LEADS)]:
        lead, target = LEADS.get(model, (NONE, model))
        name = "name" if model in NAMED else Value(None, output_field=TextField())
        rows = model._default_manager.filter(pk__in=ids[model]).values_list("pk", name, lead)
        found = list(rows) if ids[model] else []
        known[model] = {pk: name for pk, name, _ in found}
        known.leads[model] = {pk: leads_to for pk, _, leads_to in found}
        if model is not Occurrence:
            ids[target].update(filter(None, known.leads[model].values()))
    return known


@cache
def targets(label: str) -> dict[str, type[Model]]:
    """The models that a journaled table refers to, by column."""
    fields: Any = apps.get_model(label)._meta.concrete_fields
    return {field.column: field.related_model for field in fields if field.related_model}


def _column(sides: Iterable[Any], column: str) -> int | None:
    """The first value of a column in these sides of a change."""
    values = (side.get(column) for side in sides if side)
    return next((value for value in values if value is not None), None)

"""Which taxa the labels of a category map stand for."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.db.models import F
from django.db.models.lookups import IsNull

from ami.base.ids import parse_id
from ami.main.models import Taxon
from ami.main.taxonomy import Taxonomy

if TYPE_CHECKING:
    from ami.ml.models.algorithm import AlgorithmCategoryMap

# Accepted taxa come before synonyms, then lower ids, because the first match of a name is used.
SEARCH = """
SELECT searched.name, t.id FROM main_taxon t, unnest(t.search_names) AS searched (name)
WHERE t.search_names <> '{}' AND searched.name = ANY(%s)
ORDER BY t.synonym_of_id IS NOT NULL, t.id
"""


def resolve_labels(category_map: "AlgorithmCategoryMap") -> tuple[list[int | None], Taxonomy]:
    """For each label the id of its taxon or None, and the taxonomy of these taxa.

    A label is resolved by name, then by GBIF key, then by search name. A synonym stands for its
    accepted taxon. If several taxa have the same key or search name, the accepted taxon with the
    lowest id is used, else the synonym with the lowest id. The number of queries does not depend
    on the number of labels.
    """
    labels = category_map.labels
    found = _by_name(labels)
    found = _by_key(category_map, without=found) | found
    found = _by_search_name(set(labels) - set(found)) | found
    taxonomy = Taxonomy.above(set(found.values()))
    return [
        taxonomy.accepted(found[label]) if label in found else None for label in labels
    ], taxonomy


def _by_name(labels: Collection[str]) -> dict[str, int]:
    """Pass tens of thousands of labels as one parameter: Django would prepare each of an `__in`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, id FROM main_taxon WHERE name = ANY(%s)", [list(labels)])
        return dict(cursor.fetchall())


def _by_key(category_map: "AlgorithmCategoryMap", *, without: Collection[str]) -> dict[str, int]:
    data = category_map.data if isinstance(category_map.data, list) else []
    entries = [entry for entry in data if isinstance(entry, dict)]
    keys = {
        label: key
        for label, key in ((e.get("label"), _key(e.get("gbif_key"))) for e in entries)
        if isinstance(label, str) and label not in without and key is not None
    }
    rows = Taxon.objects.filter(gbif_taxon_key__in=set(keys.values()))
    rows = rows.order_by(IsNull(F("synonym_of"), False), "pk")
    bearers = _first(rows.values_list("gbif_taxon_key", "pk"))
    return {label: bearers[key] for label, key in keys.items() if key in bearers}


def _key(written: Any) -> int | None:
    """Read a key. Tables with empty cells are often exported with 7.0 instead of 7."""
    return parse_id(str(written).removesuffix(".0"))


def _by_search_name(labels: Collection[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(SEARCH, [list(labels)])
        return _first(cursor.fetchall())


def _first(pairs: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for name, pk in pairs:
        found.setdefault(name, pk)
    return found

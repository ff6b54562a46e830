"""Which taxa the labels of a category map stand for."""

from typing import TYPE_CHECKING

from ami.main.names import read_key
from ami.main.resolver import resolve_names
from ami.main.taxonomy import Taxonomy

if TYPE_CHECKING:
    from ami.ml.models.algorithm import AlgorithmCategoryMap


def resolve_labels(category_map: "AlgorithmCategoryMap") -> tuple[list[int | None], Taxonomy]:
    """For each label the id of its taxon or None, and the taxonomy of these taxa.

    Labels are names, which :func:`ami.main.resolver.resolve_names` finds.
    """
    written = {label for label in category_map.labels if label}
    found = resolve_names(written, label_keys(category_map))
    return [found.taxa.get(label) for label in category_map.labels], found.taxonomy


def label_keys(category_map: "AlgorithmCategoryMap") -> dict[str, int]:
    """Return the GBIF keys of the labels that have one."""
    data = category_map.data if isinstance(category_map.data, list) else []
    entries = [entry for entry in data if isinstance(entry, dict)]
    keys = ((entry.get("label"), read_key(entry.get("gbif_key"))) for entry in entries)
    return {label: key for label, key in keys if isinstance(label, str) and key is not None}

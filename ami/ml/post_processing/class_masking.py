"""Classifications are given anew, with only those classes that a taxa list holds."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from logging import getLogger
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from pydantic import Field

from ami.base.ids import RowId
from ami.jobs.states import JobFailedError
from ami.jobs.work import Planned
from ami.main.determinations import update_determinations
from ami.main.models import Classification, TaxaList
from ami.main.querysets.classification import ClassificationQuerySet
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import BasePostProcessingTask, get_author
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.derived.labels import listed_taxa, read_label_taxa
from ami.ml.post_processing.derived.masking import LIKELY_OFF_LIST, MASKED_BY, Masking
from ami.ml.post_processing.derived.rows import CategoryMaps, rows_a_batch
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import AlgorithmId, ScopedConfig, TaxaListId, existing_row

logger = getLogger(__name__)

MAX_NAME = 255


def derived_algorithm(source: Algorithm, taxa_list: TaxaList, *, reweight: bool) -> Algorithm:
    """The author of what masking `source` by that list gives; its row is made where missing.

    Raises JobFailedError where its key would be too long, or another algorithm has its name.
    """
    how = "reweighted" if reweight else "absolute"
    key = f"{source.key}{MASKED_BY}{taxa_list.pk}_{how}"
    if excess := max(0, len(key) - MAX_NAME):
        raise JobFailedError(
            f"Shorten the key of algorithm {source.pk} by {excess} characters: with the list it "
            f"makes the key {key!r}, which may have at most {MAX_NAME}."
        )
    suffix = f" (filtered by taxa list {taxa_list.pk}, {how})"
    return get_author(
        key,
        name=source.name[: MAX_NAME - len(suffix)] + suffix,
        version=source.version,
        category_map=source.category_map,
        description=f"{source}, with only those classes that “{taxa_list}” holds.",
    )


def listed_classes(taxa_list: TaxaList, source: Algorithm, *, maps: CategoryMaps) -> frozenset[int]:
    """The taxa of the list. Raises JobFailedError where it holds no class of `source`."""
    listed = listed_taxa(set(taxa_list.taxa.values_list("pk", flat=True)))
    labels = maps[source.category_map_id] if source.category_map_id else None
    if not listed or (labels and labels.labels and not labels.within(listed).any()):
        raise JobFailedError(
            f"Taxa list {taxa_list.pk} ({taxa_list}) holds no class of {source}: add taxa to it, "
            "or choose another list."
        )
    return listed


class ClassMaskingConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    occurrence_id: RowId | None = None
    taxa_list_id: TaxaListId = Field(
        ..., title="Taxa list", description="Its taxa stay, and all that lies under them."
    )
    algorithm_id: AlgorithmId = Field(
        ..., title="Algorithm", description="The classifier whose classifications are masked."
    )
    reweight: bool = Field(
        True,
        description="Share the probability out among the classes that stay, so that it sums to 1.",
    )
    only_when_taxon_changes: bool = Field(
        False, description="Leave classifications alone whose name stays the same."
    )


@register
class ClassMaskingTask(BasePostProcessingTask):
    key = "class_masking"
    name = "Class masking"
    description = "Gives detections the best name that a taxa list holds."
    config_schema = ClassMaskingConfig
    counters = (
        "classifications_checked",
        "classifications_masked",
        "taxa_changed",
        "likely_off_list",
        "labels_unresolved",
        "occurrences_updated",
    )
    warnings = {
        "likely_off_list": f"Masking removed more than {LIKELY_OFF_LIST} of the probability of "
        "these: most likely the list does not hold such an insect, and its name is wrong now."
    }

    config: ClassMaskingConfig

    @cached_property
    def batch_size(self) -> int:  # type: ignore[override]
        category_map = self.source.category_map
        return rows_a_batch(len(category_map.labels) if category_map else 0)

    @cached_property
    def source(self) -> Algorithm:
        return existing_row(Algorithm, self.config.algorithm_id)

    @cached_property
    def taxa_list(self) -> TaxaList:
        return existing_row(TaxaList, self.config.taxa_list_id)

    @cached_property
    def maps(self) -> CategoryMaps:
        maps = CategoryMaps(self.logger)
        if self.source.category_map:  # of which `plan` has told what it lacks, once
            maps[self.source.category_map.pk] = read_label_taxa(self.source.category_map)
        return maps

    @cached_property
    def listed(self) -> frozenset[int]:
        return listed_classes(self.taxa_list, self.source, maps=self.maps)

    @cached_property
    def algorithm(self) -> Algorithm:
        return derived_algorithm(self.source, self.taxa_list, reweight=self.config.reweight)

    def consulted(self) -> list[QuerySet[Any]]:
        return [TaxaList.objects.filter(pk=self.taxa_list.pk)]

    def plan(self) -> list[Planned]:
        if self.source.category_map_id:
            labels = CategoryMaps(self.logger)[self.source.category_map_id]
            self.count(labels_unresolved=len(labels.unresolved))
        return super().plan()

    def prepare(self) -> None:
        """Raises JobFailedError where the list or the algorithm is gone, or no class stays."""
        self.masking = Masking(
            listed=self.listed,
            author=self.algorithm,
            maps=self.maps,
            tally=self,
            reweight=self.config.reweight,
            only_when_taxon_changes=self.config.only_when_taxon_changes,
        )

    def process(self, batch: Batch) -> None:
        rows = Classification.objects.filter(detection__in=batch.detections)
        touched = self.masking.apply(rows, source=self.source, job=self.job)
        self.update_determinations(touched)


class Counts(Counter[str]):
    """The figures of masking without a task."""

    def count(self, **figures: int) -> None:
        self.update(figures)

    def skip(self, reason: str, *, rows: int, ids: Iterable[int]) -> None:
        self[f"Skipped: {reason}"] += rows


def make_classifications_filtered_by_taxa_list(
    classifications: ClassificationQuerySet,
    taxa_list: TaxaList,
    algorithm: Algorithm,
    new_algorithm: Algorithm,
    *,
    batch_size: int = 200,
    reweight: bool = True,
    on_setup: Callable[[int], object] | None = None,
    on_batch: Callable[[dict[str, int]], object] | None = None,
) -> dict[str, int]:
    """Mask those of `classifications` that `algorithm` gave, writing as `new_algorithm`.

    `on_setup` gets the number of classifications once, before anything is written. Each batch of
    `batch_size` is one transaction, with the determinations; after it, `on_batch` gets the
    counters so far, as are returned at the end. Raises JobFailedError, before anything is
    written, where no class of the algorithm is in the list.
    """
    maps = CategoryMaps(logger)
    counts = Counts(dict.fromkeys(ClassMaskingTask.counters, 0))
    listed = listed_classes(taxa_list, algorithm, maps=maps)
    if algorithm.category_map_id:
        counts.count(labels_unresolved=len(maps[algorithm.category_map_id].unresolved))
    masking = Masking(
        listed=listed, author=new_algorithm, maps=maps, tally=counts, reweight=reweight
    )
    ids = sorted(classifications.values_list("pk", flat=True))
    if on_setup:
        on_setup(len(ids))
    for start in range(0, len(ids), batch_size):
        rows = Classification.objects.filter(pk__any_of=set(ids[start : start + batch_size]))
        with transaction.atomic():
            changes = update_determinations(masking.apply(rows, source=algorithm))
        counts.count(occurrences_updated=sum(change.taxon_changed for change in changes))
        if on_batch:
            on_batch(dict(counts))
    return dict(counts)

"""Class masking: recompute classifications with only the classes that a taxa list holds."""

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from pydantic import Field

from ami.base.ids import RowId
from ami.base.words import counted
from ami.jobs.engine.work import Planned
from ami.jobs.states import JobFailedError
from ami.main.models import Classification, Detection, TaxaList
from ami.main.querysets.classification import ClassificationQuerySet
from ami.ml.models import Algorithm
from ami.ml.post_processing.base import BasePostProcessingTask, get_author
from ami.ml.post_processing.batches import Batch
from ami.ml.post_processing.changes import Change
from ami.ml.post_processing.class_masking.masking import (
    LIKELY_OFF_LIST,
    MASKED_BY,
    Masking,
    has_result,
    kept_classes,
    standing,
)
from ami.ml.post_processing.deriving import CategoryMaps, consult_maps, rows_a_batch
from ami.ml.post_processing.labels import LabelTaxa, listed_taxa
from ami.ml.post_processing.measures import Measure, Threshold
from ami.ml.post_processing.registry import register
from ami.ml.post_processing.scopes import AlgorithmId, ScopedConfig, TaxaListId, existing_row

MAX_NAME = 255
LABELS = 20  # the kept labels that the log lists
# The names under which a page lists what a run consulted.
LISTED = "Taxa list"
AUTHOR = "Algorithm of the results"


def derived_algorithm(source: Algorithm, taxa_list: TaxaList, *, reweight: bool) -> Algorithm:
    """The algorithm that writes the results of masking `source` by that list.

    Its row is created if it is missing. Raises JobFailedError if its key would be too long or
    another algorithm has its name.
    """
    return get_author(**author_fields(source, taxa_list, reweight=reweight))


def author_fields(source: Algorithm, taxa_list: TaxaList, *, reweight: bool) -> dict[str, Any]:
    """That algorithm as arguments of `get_author`. Raises JobFailedError if its key is too long."""
    how = "reweighted" if reweight else "absolute"
    key = f"{source.key}{MASKED_BY}{taxa_list.pk}_{how}"
    if excess := max(0, len(key) - MAX_NAME):
        raise JobFailedError(
            f"Shorten the key of algorithm {source.pk} by {excess} characters: with the taxa list "
            f"it makes the key {key!r}, which may have at most {MAX_NAME} characters."
        )
    suffix = f" (filtered by taxa list {taxa_list.pk}, {how})"
    return {
        "key": key,
        "name": source.name[: MAX_NAME - len(suffix)] + suffix,
        "version": source.version,
        "category_map_id": source.category_map_id,
        "description": f"{source}, with only the classes that “{taxa_list}” holds.",
    }


def consult_masking(
    source: Algorithm, taxa_list: TaxaList, rows: ClassificationQuerySet
) -> dict[str, Any]:
    """What masking consults: the taxa of the list, the category maps of `source` and `rows`."""
    listed = listed_taxa(set(taxa_list.taxa.values_list("pk", flat=True)))
    maps = consult_maps(rows.filter(algorithm=source), of=[source.pk])
    return {LISTED: sorted(listed), **maps}


def keeps_a_class(listed: Collection[int], labels: LabelTaxa | None) -> bool:
    """Whether the list keeps a class; without labels, whether the list holds any taxon."""
    if not labels or not labels.labels:
        return bool(listed)
    return bool(labels.within(listed).any())


def no_class_stays(source: Algorithm, taxa_list: TaxaList) -> JobFailedError:
    return JobFailedError(
        f"Taxa list {taxa_list.pk} ({taxa_list}) holds no class of {source}: add taxa to it, "
        "or choose another list."
    )


class ClassMaskingConfig(ScopedConfig):
    source_image_collection_id: RowId | None = None
    occurrence_id: RowId | None = None
    taxa_list_id: TaxaListId = Field(
        ..., title="Taxa list", description="The taxa to keep, including all taxa below them."
    )
    algorithm_id: AlgorithmId = Field(
        ..., title="Algorithm", description="The classifier whose classifications to mask."
    )
    reweight: bool = Field(
        True,
        description="Rescale the probabilities of the remaining classes so that they sum to 1.",
    )
    only_when_taxon_changes: bool = Field(
        False, description="Leave classifications alone if their taxon stays the same."
    )
    removed_mass_limit: float | None = Field(
        None,
        gt=0,
        lt=1,
        title="Limit of removed probability",
        description="Leave classifications alone if the list removes more than this share of their "
        "probability, because it probably lacks their taxon. Empty: no limit.",
    )


@register
class ClassMaskingTask(BasePostProcessingTask):
    key = "class_masking"
    name = "Class masking"
    description = "Renames classifications to the most likely taxon that a taxa list holds."
    docs = "reference/methods/class_masking.html"
    config_schema = ClassMaskingConfig
    measure = Measure(
        label="Probability that masking removes",
        when=">",
        effect="likely off the list",
        thresholds=lambda config: {
            "": Threshold(config.removed_mass_limit or LIKELY_OFF_LIST, "removed_mass_limit")
        },
    )
    counters = (
        "classifications_checked",
        "classifications_masked",
        "taxa_changed",
        "likely_off_list",
        "labels_unresolved",
        "occurrences_updated",
    )
    warnings = {
        "likely_off_list": f"Masking removed more than {LIKELY_OFF_LIST:.0%} of the probability of "
        "these classifications. The taxa list probably lacks the true taxon, and the new name is "
        "probably wrong."
    }

    config: ClassMaskingConfig

    @cached_property
    def batch_size(self) -> int:  # type: ignore[override]
        return rows_a_batch(self.maps.width)

    @classmethod
    def nothing_in(cls, detections: QuerySet[Detection]) -> str | None:
        rows = Classification.objects.filter(detection__in=detections)
        if rows.filter(logits__isnull=False).exists():
            return None
        return super().nothing_in(detections) or "No classification in scope has logits."

    def nothing_to_do(self) -> str | None:
        rows = Classification.objects.filter(detection__in=self.scope)
        author = Algorithm.objects.filter(key=self.basis[AUTHOR]["key"]).first()
        sources = standing(rows, source_id=self.config.algorithm_id, author=author)
        results = {kept_classes(labels, self.listed).key for labels in self.maps.values()}
        limit = self.config.removed_mass_limit
        if sources.filter(~has_result(author, kept_labels=results, limit=limit)).exists():
            return None
        if reason := self.nothing_in(self.scope):
            return reason
        source = existing_row(Algorithm, self.config.algorithm_id)
        if not (done := sources.count()):
            return f"No current classification of {source} in scope has logits."
        taxa_list = existing_row(TaxaList, self.config.taxa_list_id)
        return (
            f"All {done:,} classifications of {source} in scope were already masked by {taxa_list} "
            "with the same classes."
        )

    def consult(self) -> dict[str, Any]:
        """Raises JobFailedError if the taxa list or the algorithm no longer exists."""
        source = existing_row(Algorithm, self.config.algorithm_id)
        taxa_list = existing_row(TaxaList, self.config.taxa_list_id)
        rows = Classification.objects.filter(detection__in=self.scope)
        return {
            AUTHOR: author_fields(source, taxa_list, reweight=self.config.reweight),
            **consult_masking(source, taxa_list, rows),
        }

    def decisions(self) -> list[str]:
        """Also which labels the list keeps."""
        labels = self.maps.of_algorithm(self.config.algorithm_id)
        if labels is None:
            return super().decisions()
        keeps = labels.within(self.listed)
        kept = [label for label, stays in zip(labels.labels, keeps, strict=True) if stays]
        named = ", ".join(kept[:LABELS]) + (", …" if len(kept) > LABELS else "")
        return [
            *super().decisions(),
            f"The list keeps {len(kept):,} of {counted(len(keeps), 'label')}"
            f"{f': {named}' if named else ''}.",
        ]

    @cached_property
    def maps(self) -> CategoryMaps:
        return CategoryMaps(self.basis)

    @cached_property
    def listed(self) -> frozenset[int]:
        return frozenset(self.basis[LISTED])

    @cached_property
    def algorithm(self) -> Algorithm:
        return get_author(**self.basis[AUTHOR])

    def plan(self) -> list[Planned]:
        """Raises JobFailedError if the taxa list holds no class."""
        labels = self.maps.of_algorithm(self.config.algorithm_id)
        if not keeps_a_class(self.listed, labels):
            source = existing_row(Algorithm, self.config.algorithm_id)
            raise no_class_stays(source, existing_row(TaxaList, self.config.taxa_list_id))
        self.maps.tell_unresolved(self.logger)
        self.count(labels_unresolved=len(labels.unresolved) if labels else 0)
        return super().plan()

    def prepare(self) -> None:
        """Raises JobFailedError if another algorithm has the name of the derived one."""
        self.masking = Masking(
            listed=self.listed,
            author=self.algorithm,
            maps=self.maps,
            tally=self,
            reweight=self.config.reweight,
            only_when_taxon_changes=self.config.only_when_taxon_changes,
            limit=self.config.removed_mass_limit,
        )

    def process(self, batch: Batch) -> None:
        rows = Classification.objects.filter(detection__in=batch.detections)
        touched = self.masking.apply(rows, source_id=self.config.algorithm_id, job=self.job)
        self.update_determinations(touched)

    def compare(self, batch: Batch, configs: Sequence[Any]) -> Iterator[Change]:
        rows = Classification.objects.filter(detection__in=batch.detections)
        limits = [config.removed_mass_limit for config in configs]
        return self.masking.compare(rows, source_id=self.config.algorithm_id, limits=limits)

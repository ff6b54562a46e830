"""Names for code that was written for Antenna."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from logging import getLogger

from django.db import transaction
from numpy.typing import ArrayLike

from ami.main.determinations import update_determinations
from ami.main.models import Classification, TaxaList
from ami.main.querysets.classification import ClassificationQuerySet
from ami.ml.models import Algorithm
from ami.ml.post_processing.class_masking.masking import Masking
from ami.ml.post_processing.class_masking.task import (
    LISTED,
    ClassMaskingTask,
    consult_masking,
    keeps_a_class,
    no_class_stays,
)
from ami.ml.post_processing.deriving import CategoryMaps

__all__ = ["make_classifications_filtered_by_taxa_list"]

logger = getLogger(__name__)


class Counts(Counter[str]):
    """The counters of masking that runs without a task."""

    def count(self, **figures: int) -> None:
        self.update(figures)

    def skip(self, reason: str, *, rows: int, ids: Iterable[int]) -> None:
        self[f"Skipped: {reason}"] += rows

    def measured(self, detections: Sequence[int], values: ArrayLike, *, series: str = "") -> None:
        """Nothing draws the values."""


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
    """Mask the `classifications` by `algorithm`, and write the results as `new_algorithm`.

    `on_setup` is called once with the number of classifications, before anything is written. Each
    batch of `batch_size` classifications is one transaction, including the determinations; after
    each, `on_batch` is called with the counters so far. Returns the final counters. Raises
    JobFailedError, before anything is written, if the list holds no class of the algorithm.
    """
    consulted = consult_masking(algorithm, taxa_list, classifications)
    maps = CategoryMaps(consulted)
    labels, listed = maps.of_algorithm(algorithm.pk), frozenset(consulted[LISTED])
    if not keeps_a_class(listed, labels):
        raise no_class_stays(algorithm, taxa_list)
    maps.tell_unresolved(logger)
    counts = Counts(dict.fromkeys(ClassMaskingTask.counters, 0))
    counts.count(labels_unresolved=len(labels.unresolved) if labels else 0)
    masking = Masking(
        listed=listed,
        author=new_algorithm,
        maps=maps,
        tally=counts,
        reweight=reweight,
    )
    ids = sorted(classifications.values_list("pk", flat=True))
    if on_setup:
        on_setup(len(ids))
    for start in range(0, len(ids), batch_size):
        rows = Classification.objects.filter(pk__any_of=set(ids[start : start + batch_size]))
        with transaction.atomic():
            changes = update_determinations(masking.apply(rows, source_id=algorithm.pk))
        counts.count(occurrences_updated=sum(change.taxon_changed for change in changes))
        if on_batch:
            on_batch(dict(counts))
    return dict(counts)

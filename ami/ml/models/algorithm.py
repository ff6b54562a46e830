from itertools import chain, count
from operator import itemgetter
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.text import slugify

from ami.base.models import BaseModel
from ami.main.models import Taxon
from ami.ml.models.labels import resolve_labels

KEY_LENGTH = 200  # of a name in a key, which also has a version and a number


class AlgorithmTaskType(models.TextChoices):
    """What an algorithm does."""

    DETECTION = "detection", "Detection"
    LOCALIZATION = "localization", "Localization"
    SEGMENTATION = "segmentation", "Segmentation"
    CLASSIFICATION = "classification", "Classification"
    EMBEDDING = "embedding", "Embedding"
    TRACKING = "tracking", "Tracking"
    POST_PROCESSING = "post_processing", "Post-processing"
    OTHER = "other", "Other"
    UNKNOWN = "unknown", "Unknown"


class AlgorithmCategoryMap(BaseModel):
    """The classes of a classifier, in the order of its scores.

    `data` holds one object per class, `{"index", "label", "gbif_key"?, "taxon_rank"?}`; `labels`
    is computed from it, in the order of the indexes, whenever the map is saved.
    """

    data = models.JSONField(default=list)
    labels = ArrayField(models.CharField(max_length=255), default=list, editable=False)
    version = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"Category map {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.data:
            self.labels = [entry["label"] for entry in sorted(self.data, key=itemgetter("index"))]
        super().save(*args, **kwargs)

    def with_taxa(self) -> list[dict[str, Any]]:
        """The classes in the order of the scores, each with the `taxon` that its label stands for.

        The taxon is None if the label stands for no taxon. All other keys of `data` are kept.
        """
        ids, _ = resolve_labels(self)
        taxa = Taxon.objects.in_bulk({pk for pk in ids if pk is not None})
        classes = sorted(self.data, key=itemgetter("index")) or [
            {"index": index, "label": label} for index, label in enumerate(self.labels)
        ]
        return [
            {**one, "taxon": None if pk is None else taxa[pk]}
            for one, pk in zip(classes, ids, strict=True)
        ]


class Algorithm(BaseModel):
    """A version of a model or method that writes detections or classifications."""

    name = models.CharField(max_length=255)
    key = models.SlugField(
        max_length=255,
        unique=True,
        blank=True,
        help_text="If empty, it is generated from the name and the version.",
    )
    task_type = models.CharField(
        max_length=32, choices=AlgorithmTaskType, default=AlgorithmTaskType.UNKNOWN
    )
    version = models.PositiveIntegerField(default=1)
    category_map = models.ForeignKey(
        AlgorithmCategoryMap,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="algorithms",
    )
    description = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name", "version"], name="algorithm_unique_name_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.key:
            self.key = self._free_key()
        super().save(*args, **kwargs)

    def _free_key(self) -> str:
        """Return a key that no algorithm has: names such as "Moth net" and "Moth-net" share one."""
        stem = f"{slugify(self.name)[:KEY_LENGTH] or 'algorithm'}-{self.version}"
        rows = Algorithm.objects.filter(key__startswith=stem)
        taken = set(rows.values_list("key", flat=True))
        further = (f"{stem}-{number}" for number in count(2))
        return next(key for key in chain([stem], further) if key not in taken)

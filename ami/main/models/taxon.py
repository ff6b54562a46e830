from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet, SharedQuerySet
from ami.main.models.project import Project


class TaxonRank(models.TextChoices):
    """Ranks, from coarse to fine; UNKNOWN is outside this order."""

    KINGDOM = "KINGDOM"
    PHYLUM = "PHYLUM"
    CLASS = "CLASS"
    ORDER = "ORDER"
    SUPERFAMILY = "SUPERFAMILY"
    FAMILY = "FAMILY"
    SUBFAMILY = "SUBFAMILY"
    TRIBE = "TRIBE"
    SUBTRIBE = "SUBTRIBE"
    GENUS = "GENUS"
    SPECIES = "SPECIES"
    UNKNOWN = "UNKNOWN"


NOT_IDENTIFIABLE = "Not identifiable"


class Taxon(BaseModel):
    """A taxonomic name that can be given to a detection."""

    name = models.CharField(max_length=255, unique=True)
    rank = models.CharField(max_length=16, choices=TaxonRank, default=TaxonRank.SPECIES)
    parent = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="direct_children"
    )
    active = models.BooleanField(default=True)
    identifiable = models.BooleanField(
        default=True,
        help_text="Disable this for names such as “Not identifiable”. Any other classification of "
        "the same occurrence takes precedence.",
    )
    synonym_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="synonyms"
    )
    search_names = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="Other names by which labels match this taxon, separated by commas.",
    )
    gbif_taxon_key = models.BigIntegerField("GBIF taxon key", null=True, blank=True)
    notes = models.TextField(blank=True)
    projects = models.ManyToManyField(Project, blank=True, related_name="taxa")

    class Meta:
        verbose_name_plural = "taxa"
        constraints = [
            models.CheckConstraint(
                condition=Q(rank__in=TaxonRank.values), name="taxon_rank_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.name


class TaxaList(BaseModel):
    """Taxa that belong together, such as the species of a region."""

    project_path = "projects"

    name = models.CharField(max_length=255)
    taxa = models.ManyToManyField(Taxon, blank=True, related_name="lists")
    projects = models.ManyToManyField(Project, blank=True, related_name="taxa_lists")

    objects: ClassVar[ProjectQuerySet["TaxaList"]] = SharedQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "taxa list"

    def __str__(self) -> str:
        return self.name

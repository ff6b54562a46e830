from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Q

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
    SUBSPECIES = "SUBSPECIES"
    VARIETY = "VARIETY"
    FORM = "FORM"
    UNKNOWN = "UNKNOWN"

    def is_below(self, other: "TaxonRank") -> bool:
        """Whether both ranks are known, and this one is the finer one."""
        ranks = list(TaxonRank)
        return self != TaxonRank.UNKNOWN and ranks.index(other) < ranks.index(self)

    def may_be_under(self, parent: "TaxonRank") -> bool:
        """Whether a taxon of this rank can have a parent of that rank."""
        return TaxonRank.UNKNOWN in {self, parent} or self.is_below(parent)


# The letters from A to Z with which a name begins, by which similar names are found.
START = """coalesce(lower(substring(normalize({}) FROM '[A-Za-z]+') COLLATE "C"), '')"""
START_KEY = Func(
    F("name"), template=START.format("%(expressions)s"), output_field=models.TextField()
)

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
        indexes = [models.Index(START_KEY, name="taxon_start_key")]
        constraints = [
            models.CheckConstraint(
                condition=Q(rank__in=TaxonRank.values), name="taxon_rank_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.parent and not TaxonRank(self.rank).may_be_under(TaxonRank(self.parent.rank)):
            text = (
                f"{self.parent}, a taxon of rank {self.parent.rank}, cannot be the parent of one "
                f"of rank {self.rank}; choose a parent of a higher rank."
            )
            raise ValidationError({"parent": text})


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


# What pages call the rows behind the many-to-many fields, whose changes the journal records.
NOUNS: dict[Any, tuple[str, str]] = {
    Taxon.projects: ("project of a taxon", "projects of taxa"),
    TaxaList.taxa: ("taxon of a taxa list", "taxa of taxa lists"),
    TaxaList.projects: ("project of a taxa list", "projects of taxa lists"),
}
for field, (one, many) in NOUNS.items():
    field.through._meta.verbose_name = one
    field.through._meta.verbose_name_plural = many

from typing import ClassVar

from django.conf import settings
from django.db import models

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.models import Identification, Occurrence, Project, Taxon

REVIEW = "review.add_judgement"  # the permission to answer
DRAW = "review.add_sample"  # the permission to draw a sample


class Sample(BaseModel):
    """A random sample of occurrences, frozen when it was drawn, for people to judge.

    Its items are in random order, so those up to any position are a random sample, too.
    """

    project_path = "project"

    class Source(models.TextChoices):
        """What the sample was drawn from."""

        JOB = "job", "Occurrences that a Job changed"
        COLLECTION = "collection", "Capture set"
        EVENT = "event", "Night"
        PROJECT = "project", "Project"
        OCCURRENCES = "occurrences", "List of occurrences"

    class Strata(models.TextChoices):
        """By what the sample is stratified."""

        NONE = "", "None: all at random"
        SCORE = "score", "Score band"
        TAXA = "taxa", "Taxon before → after"
        RUN = "run", "Changed or unchanged by the run"

    name = models.CharField(max_length=200)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="samples")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="samples",
        verbose_name="drawn by",
    )
    source = models.CharField(max_length=16, choices=Source)
    source_id = models.BigIntegerField(
        "source id", null=True, blank=True, help_text="The id of the Job, capture set or night."
    )
    query = models.TextField(
        blank=True, help_text="The filter of the list of occurrences, as in its address."
    )
    strata = models.CharField(max_length=8, choices=Strata, blank=True, default=Strata.NONE)
    seed = models.BigIntegerField()
    population = models.PositiveIntegerField(help_text="Occurrences that it was drawn from.")
    populations = models.JSONField(
        default=list,
        blank=True,
        help_text="For each stratum, its name and how many occurrences it was drawn from: "
        '[{"name": …, "population": …}].',
    )
    blind = models.BooleanField(
        default=True, help_text="Hide the determination until the person has answered."
    )
    identifies = models.BooleanField(
        "answers become identifications",
        default=True,
        help_text="Otherwise, answers are only judgements, and no determination changes.",
    )

    objects: ClassVar[ProjectQuerySet["Sample"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.name


class SampleItem(models.Model):
    """One occurrence of a sample, as it was when the sample was drawn."""

    project_path = "sample__project"

    sample = models.ForeignKey(
        Sample, on_delete=models.CASCADE, related_name="items", db_index=False
    )
    position = models.PositiveIntegerField(help_text="Its place in the random order, from 1.")
    stratum = models.PositiveSmallIntegerField(
        default=0, help_text="The place of its stratum in the populations of the sample, from 0."
    )
    # No constraint: a run may merge or delete the occurrence, and its revert restores it.
    occurrence = models.ForeignKey(
        Occurrence,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="sample_items",
    )
    taxon = models.ForeignKey(
        Taxon,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The determination that is judged.",
    )
    taxon_before = models.ForeignKey(
        Taxon,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The determination before the run; empty unless drawn from a Job.",
    )
    score = models.FloatField(null=True, blank=True)
    is_double = models.BooleanField(
        "read twice", default=False, help_text="Two people answer, for the agreement of readers."
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="To whom it was handed out last.",
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    name_shown = models.BooleanField(
        default=False, help_text="The person to whom it was handed out asked for the name."
    )

    objects: ClassVar[ProjectQuerySet["SampleItem"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sample", "position"], name="sampleitem_position"),
            models.UniqueConstraint(fields=["sample", "occurrence"], name="sampleitem_occurrence"),
        ]

    def __str__(self) -> str:
        return f"Item {self.position} of {self.sample}"


class Judgement(BaseModel):
    """What one person answered about one item; several people may answer about the same one."""

    project_path = "item__sample__project"

    class Verdict(models.TextChoices):
        RIGHT = "right", "Right"
        WRONG = "wrong", "Wrong"
        CANNOT_TELL = "cannot_tell", "Cannot tell"
        SKIPPED = "skipped", "Skipped"

    item = models.ForeignKey(SampleItem, on_delete=models.CASCADE, related_name="judgements")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="judgements"
    )
    verdict = models.CharField(max_length=16, choices=Verdict)
    taxon = models.ForeignKey(
        Taxon,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="What the person says it is.",
    )
    identification = models.OneToOneField(
        Identification, on_delete=models.SET_NULL, null=True, blank=True, related_name="judgement"
    )
    blind = models.BooleanField(help_text="The determination was hidden until the answer.")
    seconds = models.FloatField(null=True, blank=True)
    withdrawn = models.BooleanField(default=False, help_text="The person took it back.")

    objects: ClassVar[ProjectQuerySet["Judgement"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.get_verdict_display()}: {self.item}"

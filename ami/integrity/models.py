from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.models.project import Project

CHECK = "integrity.add_integrityrun"  # the permission to run the checks


class IntegrityRun(BaseModel):
    """One run of the integrity checks, on all rows or on a scope."""

    project_path = "project"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="integrity_runs",
        verbose_name="run by",
    )
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="integrity_runs"
    )
    job = models.ForeignKey(
        "jobs.Job",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="integrity_runs",
        help_text="Only rows that this Job has classified.",
    )
    dry_run = models.BooleanField(default=True, help_text="Report only.")
    repair_job = models.ForeignKey(
        "jobs.Job",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The Job whose journal contains the repairs.",
    )
    finished_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty while it runs, and if it was interrupted."
    )
    schedule = models.CharField(
        max_length=200,
        blank=True,
        db_index=True,
        help_text="The name of the periodic task that started it.",
    )
    error = models.TextField("could not run", blank=True, help_text="Why no check could run.")

    objects: ClassVar[ProjectQuerySet["IntegrityRun"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"Integrity run {self.pk}"

    @property
    def scope(self) -> str:
        """The scope in words, such as "project 3"."""
        cut = {"project": self.project_id, "Job": self.job_id}
        return ", ".join(f"{noun} {pk}" for noun, pk in cut.items() if pk) or "everything"


class IntegrityStatus(models.TextChoices):
    """The outcome of a check. A check that could not run is neither clean nor a finding."""

    CLEAN = "clean", "Clean"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    FOUND = "found", "Found"
    COULD_NOT_RUN = "could_not_run", "Could not run"


class IntegrityResult(BaseModel):
    """What one check found and repaired in one run.

    `found` rows were faulty, `remaining` still are, and `acknowledged` of these are known.
    `samples` has up to 100 remaining ids by model label. `reasons` has up to 100 entries
    `{"model", "id", "reason"}` for rows that could not be repaired.
    """

    project_path = "run__project"

    run = models.ForeignKey(IntegrityRun, on_delete=models.CASCADE, related_name="results")
    key = models.CharField("check", max_length=64, db_index=True)
    severity = models.CharField(max_length=16)
    found = models.PositiveIntegerField(default=0)
    fixed = models.PositiveIntegerField(default=0)
    unfixable = models.PositiveIntegerField(default=0)
    remaining = models.PositiveIntegerField(default=0)
    acknowledged = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why it could not be completed.")
    seconds = models.FloatField(default=0)
    samples = models.JSONField(default=dict, blank=True)
    reasons = models.JSONField(default=list, blank=True)

    objects: ClassVar[ProjectQuerySet["IntegrityResult"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="integrity_result_once_a_run")
        ]

    def __str__(self) -> str:
        return f"{self.key} in run {self.run_id}"

    @property
    def status(self) -> IntegrityStatus:
        if self.error:
            return IntegrityStatus.COULD_NOT_RUN
        if self.remaining > self.acknowledged:
            return IntegrityStatus.FOUND
        return IntegrityStatus.ACKNOWLEDGED if self.remaining else IntegrityStatus.CLEAN


class AcknowledgementQuerySet(ProjectQuerySet["IntegrityAcknowledgement"]):
    def standing(self, key: str) -> "AcknowledgementQuerySet":
        """Return the acknowledgements of the check that have not expired."""
        return self.filter(key=key, expires_on__gte=timezone.localdate())


class IntegrityAcknowledgement(BaseModel):
    """A known finding: the check still counts it, but no longer fails because of it."""

    project_path = "project"

    key = models.CharField("check", max_length=64, db_index=True)
    project = models.ForeignKey(
        Project,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="integrity_acknowledgements",
        help_text="Empty for all projects.",
    )
    reason = models.TextField()
    expires_on = models.DateField(help_text="The last day on which it is valid.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="integrity_acknowledgements",
    )

    objects: ClassVar[AcknowledgementQuerySet] = AcknowledgementQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.key} until {self.expires_on}"

from typing import Any, ClassVar

from django.conf import settings
from django.db import models

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.models import Project, TaxonRank
from ami.ml.models.algorithm import Algorithm


class Calibration(BaseModel):
    """What independent answers of people say about the scores of an algorithm.

    It was fitted to one half of the occurrences and is reported on the other; `seed` decides the
    halves. `parameters` are {"temperature"}, {"pooled", "by_taxon"}, {"thresholds"} or
    {"taxa_list", "name", "limit"} by `kind`; `results` holds what the reporting half shows, `bins`
    its reliability diagrams.
    """

    project_path = "project"

    class Kind(models.TextChoices):
        """What was fitted."""

        TEMPERATURE = "temperature", "Temperature"
        LOGISTIC = "logistic", "Probability that a name is right"
        THRESHOLD = "threshold", "Thresholds by rank"
        LIMIT = "limit", "Limit of removed probability"

    algorithm = models.ForeignKey(Algorithm, on_delete=models.CASCADE, related_name="calibrations")
    project = models.ForeignKey(
        Project,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="calibrations",
        help_text="The project whose answers were used. Empty: those of all projects.",
    )
    kind = models.CharField(max_length=16, choices=Kind)
    parameters = models.JSONField(default=dict)
    target = models.FloatField(help_text="The accuracy wanted, between 0 and 1.")
    n_fit = models.PositiveIntegerField("answers used to fit")
    n_report = models.PositiveIntegerField("answers used to report")
    bins = models.JSONField(default=dict, blank=True)
    results = models.JSONField(default=dict, blank=True)
    scope = models.TextField(blank=True, help_text="The answers that were used, in words.")
    seed = models.BigIntegerField(default=0)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="calibrations",
    )

    objects: ClassVar[ProjectQuerySet["Calibration"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        kind = str(self.Kind(self.kind).label)
        return f"{self.algorithm}: {kind[:1].lower()}{kind[1:]}"

    def sentences(self) -> list[str]:
        """Say what was found, one sentence per figure; results are those of the other half."""
        found: list[dict[str, Any]] = self.results.get("figures", [])
        return [figure["sentence"] for figure in found]

    @property
    def of_taxa(self) -> list[str]:
        """Say what was fitted for single taxa, one sentence per taxon, by name."""
        curves: dict[str, dict[str, Any]] = self.parameters.get("by_taxon", {})
        return sorted(
            f"{one['name']}: {one.get('refusal') or one['words'] + '.'}" for one in curves.values()
        )

    @property
    def offer(self) -> str:
        """Say what it offers to the options of a method, on what it rests, and what it gave."""
        return (
            f"{self._offered} (fitted on {self.n_fit:,} independent answers, "
            f"{self.created_at:%Y-%m-%d}; {' '.join(self.sentences())})"
        )

    @property
    def _offered(self) -> str:
        if self.kind == self.Kind.TEMPERATURE:
            return f"Temperature of {self.algorithm}: {self.parameters['temperature']:.3g}"
        wanted = f"For {100 * self.target:g} % accuracy of {self.algorithm}"
        if self.kind == self.Kind.LIMIT:
            limit = _written(self.parameters["limit"])
            return f"{wanted}, masked by {self.parameters['name']}: {limit}"
        thresholds: dict[str, float | None] = self.parameters.get("thresholds", {})
        ranks = sorted(thresholds, key=TaxonRank.values.index, reverse=True)  # fine to coarse
        values = ", ".join(f"{rank.lower()} {_written(thresholds[rank])}" for rank in ranks)
        return f"{wanted}: {values}"


def _written(threshold: float | None) -> str:
    return "out of reach" if threshold is None else f"{threshold:g}"

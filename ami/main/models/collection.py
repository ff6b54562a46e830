from typing import Any, ClassVar

from django.db import models

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.models.project import Project
from ami.main.models.source_image import SourceImage


class SourceImageCollection(BaseModel):
    """A capture set: captures of one project that are processed together."""

    project_path = "project"

    class Method(models.TextChoices):
        MANUAL = "manual", "Chosen by hand"
        FULL = "full", "Every capture of the project"
        RANDOM = "random", "A random sample"

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="sourceimage_collections"
    )
    name = models.CharField(max_length=255)
    method = models.CharField(max_length=255, choices=Method, default=Method.FULL)
    kwargs = models.JSONField(
        default=dict,
        blank=True,
        verbose_name="method parameters",
        help_text='{"image_ids": […]} for the method "Chosen by hand", {"size": n} for "A random '
        'sample".',
    )
    images = models.ManyToManyField(
        SourceImage, blank=True, related_name="collections", verbose_name="captures"
    )

    objects: ClassVar[ProjectQuerySet["SourceImageCollection"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "capture set"

    def __str__(self) -> str:
        return self.name

    def populate_sample(self) -> None:
        """Replace the captures with those that `method` and `kwargs` select.

        Raises ValueError if the method is unknown or `kwargs` lacks a parameter.
        """
        self.images.set(self._sample().values_list("pk", flat=True))

    def _sample(self) -> models.QuerySet[SourceImage]:
        captures = SourceImage.objects.filter(project_id=self.project_id)
        match self.method:
            case self.Method.MANUAL:
                return captures.filter(pk__in=self._kwarg("image_ids"))
            case self.Method.RANDOM:
                return captures.order_by("?")[: self._kwarg("size")]
            case self.Method.FULL:
                return captures
        raise ValueError(
            f"Capture set {self.name!r}: unknown method {self.method!r}. "
            f"Known: {', '.join(self.Method.values)}."
        )

    def _kwarg(self, name: str) -> Any:
        try:
            return self.kwargs[name]
        except KeyError:
            raise ValueError(
                f"Capture set {self.name!r}: the method {self.method!r} needs {name!r} in its "
                "method parameters."
            ) from None

from typing import Any, ClassVar

from django.db import models

from ami.base.ids import MAX_ID, parse_ids
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

        Raises ValueError if the method is unknown, or if its parameter in `kwargs` is missing or
        invalid.
        """
        self.images.set(self._sample().values_list("pk", flat=True))

    def _sample(self) -> models.QuerySet[SourceImage]:
        captures = SourceImage.objects.filter(project_id=self.project_id)
        match self.method:
            case self.Method.MANUAL:
                return captures.filter(pk__in=self._image_ids())
            case self.Method.RANDOM:
                return captures.order_by("?")[: self._size()]
            case self.Method.FULL:
                return captures
        raise ValueError(
            f"Capture set {self.name!r}: unknown method {self.method!r}. "
            f"Known: {', '.join(self.Method.values)}."
        )

    def _image_ids(self) -> set[int]:
        listed = self._kwarg("image_ids")
        if not isinstance(listed, list):
            raise ValueError(f"Capture set {self.name!r}: image_ids must be a list of ids.")
        return parse_ids(map(str, listed), noun="captures")

    def _size(self) -> int:
        size = self._kwarg("size")
        if type(size) is not int or size < 0:
            raise ValueError(f"Capture set {self.name!r}: size must be a whole number from 0.")
        return min(size, MAX_ID)

    def _kwarg(self, name: str) -> Any:
        try:
            return self.kwargs[name]
        except KeyError:
            raise ValueError(
                f"Capture set {self.name!r}: the method {self.method!r} needs {name!r} in its "
                "method parameters."
            ) from None

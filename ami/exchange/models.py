"""The files that Jobs write and read."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.files.storage import default_storage
from django.db import models
from django.utils import timezone

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet


def expiry() -> datetime:
    """Return when the file of an export that ends now is deleted."""
    return timezone.now() + timedelta(days=settings.EXPORT_DAYS)


class Export(BaseModel):
    """The file that a Job writes, in the default storage below a path that cannot be guessed.

    `size` is None until the file is complete. The row is deleted with its files.
    """

    project_path = "project"

    project = models.ForeignKey("main.Project", on_delete=models.CASCADE, related_name="exports")
    job = models.OneToOneField("jobs.Job", on_delete=models.CASCADE, related_name="export")
    form = models.CharField("format", max_length=64)
    occurrence_ids = ArrayField(
        models.BigIntegerField(),
        null=True,
        editable=False,
        help_text="The selected occurrences, if the export is limited to some.",
    )
    path = models.CharField(max_length=255)
    size = models.BigIntegerField(null=True, help_text="Bytes.")
    problems = models.JSONField(
        default=list, help_text="What the format does not carry, as sentences."
    )
    expires_at = models.DateTimeField(default=expiry)

    objects: ClassVar[ProjectQuerySet["Export"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="export_expires_at")]

    def __str__(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def problems_path(self) -> str:
        """Where the list of all rows that the format does not carry is stored, if there is one."""
        return f"{self.path}.problems.csv"

    @property
    def is_available(self) -> bool:
        """Whether the file is complete and has not expired."""
        return self.size is not None and self.expires_at > timezone.now()

    def delete_files(self) -> None:
        """Delete the files; those that do not exist are ignored."""
        for path in (self.path, self.problems_path):
            default_storage.delete(path)


class Import(BaseModel):
    """The file that a Job imports, and what became of its contents.

    `path` is a path of the machine, or, if the file was `uploaded`, of the default storage. The
    file of an upload is deleted when it expires; then `path` is empty, and the plan is kept.
    """

    project_path = "project"

    project = models.ForeignKey(
        "main.Project", on_delete=models.CASCADE, null=True, related_name="imports"
    )
    job = models.OneToOneField("jobs.Job", on_delete=models.CASCADE, related_name="file_import")
    form = models.CharField("format", max_length=64)
    path = models.CharField(max_length=1024)
    name = models.CharField(max_length=255, help_text="As the person who uploaded it names it.")
    uploaded = models.BooleanField(default=False)
    plan = models.JSONField(default=dict, help_text="What became of the rows of the file so far.")
    expires_at = models.DateTimeField(default=expiry)

    objects: ClassVar[ProjectQuerySet["Import"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="import_expires_at")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_available(self) -> bool:
        """Whether the file was uploaded and is still stored."""
        return self.uploaded and bool(self.path)

    def delete_files(self) -> None:
        """Delete the uploaded file, unless another import refers to it."""
        same = Import.objects.filter(path=self.path, uploaded=True)
        if self.is_available and not same.exists():
            default_storage.delete(self.path)

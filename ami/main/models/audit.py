from typing import ClassVar

from django.contrib.admin.models import LogEntry
from django.db import models

from ami.base.audit import Kind
from ami.main.access import ProjectQuerySet


class AuditNote(models.Model):
    """What an entry of Django's log lacks: the project, the kind, and the reason.

    :func:`ami.base.audit.record` writes both.
    """

    project_path = "project"

    entry = models.OneToOneField(
        LogEntry, on_delete=models.CASCADE, primary_key=True, related_name="note"
    )
    # No constraint, because an entry outlives its project.
    project = models.ForeignKey(
        "main.Project",
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="audit_notes",
    )
    kind = models.CharField(max_length=16, choices=Kind)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField("time")

    objects: ClassVar[ProjectQuerySet["AuditNote"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["created_at", "entry"], name="auditnote_time"),
            models.Index(fields=["project", "created_at", "entry"], name="auditnote_project"),
            models.Index(fields=["kind", "created_at", "entry"], name="auditnote_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.entry.object_repr}"

import zoneinfo
from datetime import time
from typing import Any, ClassVar

from celery import current_app
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet
from ami.main.counts import CountField, update_deployment_counts
from ami.main.events import group_captures
from ami.main.models.project import Project

NOON = time(12)


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(
            "%(name)r is not an IANA time zone. Enter a name such as 'America/Montreal'.",
            params={"name": name},
        )


def storage_choices() -> list[tuple[str, str]]:
    """Return the storages of the settings that a deployment can name besides the default."""
    return [(name, name) for name in settings.STORAGES if name not in {"default", "staticfiles"}]


class Deployment(BaseModel):
    """One trap at one place."""

    project_path = "project"

    COUNTS = ("events_count", "captures_count", "detections_count", "occurrences_count")
    DIVIDERS = frozenset({"time_zone", "night_starts"})  # which decide the night of a capture

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="deployments"
    )
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    latitude = models.FloatField(null=True, blank=True, help_text="Degrees north.")
    longitude = models.FloatField(null=True, blank=True, help_text="Degrees east.")
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text="The IANA time zone in which nights begin and end.",
    )
    night_starts = models.TimeField(
        "nights begin at",
        default=NOON,
        db_default=NOON,
        help_text="The time of day that divides two nights: noon, unless the trap also takes "
        "captures by day. A night has the date on which it begins.",
    )
    storage = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        choices=storage_choices,
        help_text="Where captures and crops are stored; if empty, in the default storage.",
    )
    events_count = CountField()
    captures_count = CountField()
    detections_count = CountField()
    occurrences_count = CountField()

    objects: ClassVar[ProjectQuerySet["Deployment"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.name

    def save(
        self,
        *args: Any,
        update_calculated_fields: bool = False,
        regroup_async: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Save, and optionally group the captures into nights and refresh the cached counts.

        `regroup_async=True` publishes the grouping as a task on commit, False groups at once, and
        None leaves the nights unchanged.
        """
        super().save(*args, **kwargs)
        if regroup_async is not None:
            self._group_captures(in_background=regroup_async)
        if update_calculated_fields:
            update_deployment_counts([self.pk])
            self.refresh_from_db(fields=self.COUNTS)

    def _group_captures(self, *, in_background: bool) -> None:
        if not in_background:
            group_captures(self.pk)
            return
        regroup = current_app.signature("ami.main.tasks.regroup_events", args=[self.pk])
        transaction.on_commit(regroup.delay)

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from ami.base.models import BaseModel
from ami.main.access import ProjectQuerySet, Role


class Project(BaseModel):
    """What a team monitors. Most other rows belong to a project."""

    project_path = "pk"

    name = models.CharField(max_length=255)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="owned_projects",
        help_text="The owner has the rights of a manager.",
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="main.Membership", related_name="projects"
    )
    methods = ArrayField(
        models.CharField(max_length=255),
        default=list,
        db_default=[],
        blank=True,
        help_text="The methods that operators and managers may run; if none is chosen, all.",
    )

    objects: ClassVar[ProjectQuerySet["Project"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.name


class Membership(BaseModel):
    """A person's role in a project."""

    project_path = "project"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.VIEWER)

    objects: ClassVar[ProjectQuerySet["Membership"]] = ProjectQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once_a_project"),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="membership_role_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display().lower()} of {self.project}"

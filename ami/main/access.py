"""Who sees the rows of a project, and what each of its members may do with them.

Django's model permissions say what a person may do, and membership says on which rows. A role has
the permissions that its work needs, within the project only. Superusers are not restricted.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Self, TypeVar

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Permission
from django.db import connection, models
from django.db.models import Exists, OuterRef, Q, Value

from ami.base.access import projects_of

M = TypeVar("M", bound=models.Model)


class Role(models.TextChoices):
    """The roles of a project's members. Each has the rights of the one before."""

    VIEWER = "viewer", "Viewer"
    IDENTIFIER = "identifier", "Identifier"
    OPERATOR = "operator", "Operator"
    MANAGER = "manager", "Manager"


def _rights(verbs: str, *labels: str) -> frozenset[str]:
    """Return the model permissions, such as "main.view_event"."""
    split = [label.split(".") for label in labels]
    return frozenset(f"{app}.{verb}_{name}" for app, name in split for verb in verbs.split())


ROWS = (
    "main.deployment",
    "main.event",
    "main.sourceimage",
    "main.sourceimagecollection",
    "main.detection",
    "main.classification",
    "main.occurrence",
    "main.identification",
)
RECORDS = (
    "ml.calibration",
    "exchange.export",
    "exchange.import",
    "jobs.job",
    "jobs.jobchange",
    "integrity.integrityrun",
    "integrity.integrityacknowledgement",
    "review.sample",
    "review.sampleitem",
    "review.judgement",
)
SETS = "main.sourceimagecollection"
STARTED = (
    "ml.calibration",
    "exchange.export",
    "jobs.job",
    "integrity.integrityrun",
    "integrity.integrityacknowledgement",
    "review.sample",
)

_VIEWER = _rights("view", "main.project", "main.membership", *ROWS, *RECORDS)
_IDENTIFIER = _VIEWER | _rights("add change", "main.identification", "review.judgement")
_OPERATOR = (
    _IDENTIFIER | _rights("change", "main.occurrence") | _rights("add change", SETS, *STARTED)
)
_MANAGER = (
    _OPERATOR
    | _rights("add change delete", "main.membership", *ROWS, *RECORDS)
    | _rights("change delete", "main.project")
    | _rights("view", "users.user", "main.auditnote")
)
RIGHTS = {
    Role.VIEWER: _VIEWER,
    Role.IDENTIFIER: _IDENTIFIER,
    Role.OPERATOR: _OPERATOR,
    Role.MANAGER: _MANAGER,
}

# What all staff may see: names and models that the projects share.
CATALOGUE = _rights(
    "view", "main.taxon", "main.taxalist", "ml.algorithm", "ml.algorithmcategorymap"
)

# There is one permission for each method, such as "jobs.run_tracking". Operators have all of them,
# unless their project limits its methods.
RUN = "jobs.run_"


class Access(NamedTuple):
    """A person's role in one project, and the methods that the project allows; empty for all."""

    role: Role
    methods: list[str]

    def grants(self, perm: str) -> bool:
        if not perm.startswith(RUN):
            return perm in RIGHTS[self.role]
        is_operator = self.role in {Role.OPERATOR, Role.MANAGER}
        return is_operator and (not self.methods or perm.removeprefix(RUN) in self.methods)


def roles_of(user: Any) -> dict[int, Access]:
    """Return the person's role in each of their projects, by the project's id.

    It is read once per user object, and so once per request, like Django's permissions.
    """
    if not user.is_active or user.is_anonymous:
        return {}
    if not hasattr(user, "_roles_by_project"):
        columns = ("project_id", "role", "project__methods")
        owned = user.owned_projects.values_list("pk", Value(Role.MANAGER), "methods")
        rows = user.memberships.values_list(*columns).union(owned)
        roles: dict[int, Access] = {}
        for project, role, methods in rows:
            if project not in roles or role == Role.MANAGER:
                roles[project] = Access(Role(role), methods)
        user._roles_by_project = roles
    found: dict[int, Access] = user._roles_by_project
    return found


def visible_projects(user: Any, perm: str | None = None) -> frozenset[int]:
    """Return the ids of the person's projects, or of those in which they have the permission."""
    roles = roles_of(user)
    granted = {project for project, access in roles.items() if perm is None or access.grants(perm)}
    if perm is None or len(granted) == len(roles) or not _holds(user, perm):
        return frozenset(granted)
    return frozenset(roles)


def _holds(user: Any, perm: str) -> bool:
    """Whether the person has the permission themselves, through a group, or as staff."""
    if user.is_anonymous or not user.is_active:
        return False
    return (user.is_staff and perm in CATALOGUE) or perm in ProjectBackend().get_all_permissions(
        user
    )


def project_lookup(model: Any) -> str:
    """Return the lookup of the project that finds rows fastest."""
    path: str = getattr(model, "project_column", model.project_path)
    return path


class ProjectQuerySet(models.QuerySet[M]):
    """Rows that belong to a project; `project_path` of the model is the lookup of the project.

    `project_column` is a column with the same project, if there is one. Rows without a project are
    for superusers only.
    """

    # The projects of a person to which the rows are limited; None if they are not.
    projects: frozenset[int] | None = None

    def for_user(self, user: Any, perm: str | None = None) -> "ProjectQuerySet[M]":
        """Return the rows of the person's projects, where they have the permission if given."""
        if user.is_active and user.is_superuser:
            return self
        return self.of_projects(visible_projects(user, perm))

    def of_projects(self, ids: frozenset[int]) -> "ProjectQuerySet[M]":
        rows = self.filter(**{f"{project_lookup(self.model)}__in": ids})
        rows.projects = ids
        return rows

    def newest_ids(self, limit: int) -> list[int] | None:
        """Return the ids of a person's newest rows, read project by project.

        For rows of any of several projects, PostgreSQL would sort all of them, or read foreign
        rows, too. None if this does not apply: to one project, to all rows, to rows that are
        filtered further, and to models without a column for the project.
        """
        column = project_lookup(self.model)
        own = self.projects or ()
        if "__" in column or column == "pk" or len(own) < 2 or len(self.query.where.children) > 1:
            return None
        options = self.model._meta
        # PostgreSQL merges sorted indexes only if each query has a limit.
        ranges = " UNION ALL ".join(
            f"(SELECT id FROM {options.db_table} WHERE {options.get_field(column).column} = {pk:d} "  # type: ignore[union-attr]  # noqa: S608
            f"ORDER BY id DESC LIMIT {limit:d})"
            for pk in sorted(own)
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM ({ranges}) own ORDER BY id DESC LIMIT {limit:d}")  # noqa: S608
            return [pk for (pk,) in cursor.fetchall()]

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone.projects = self.projects
        return clone


class SharedQuerySet(ProjectQuerySet[M]):
    """Rows that belong to any number of projects; those of none belong to everyone.

    Only holders of the model permission may change them.
    """

    def for_user(self, user: Any, perm: str | None = None) -> "ProjectQuerySet[M]":
        if perm is not None and not user.has_perm(perm):
            return self.none()
        return super().for_user(user)

    def of_projects(self, ids: frozenset[int]) -> "ProjectQuerySet[M]":
        links: Any = getattr(self.model, self.model.project_path).through  # type: ignore[attr-defined]
        own = links.objects.filter(**{self.model._meta.model_name or "": OuterRef("pk")})
        return self.filter(~Exists(own) | Exists(own.filter(project__in=ids)))


class ProjectBackend(ModelBackend):
    """Answers `has_perm` with model permissions and with those of roles.

    Without a row, or with a shared one, it tells whether the person has the permission on any row.
    With a row of a project, it tells whether they have it on this row.
    """

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if not user_obj.is_active or user_obj.is_anonymous:
            return False
        projects = None if obj is None else projects_of(obj)
        if projects is None:
            roles = roles_of(user_obj).values()
            return any(access.grants(perm) for access in roles) or _holds(user_obj, perm)
        return not projects.isdisjoint(visible_projects(user_obj, perm))

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the model permissions of the person and of their groups, read in one query."""
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if not hasattr(user_obj, "_perm_cache"):
            rows = Permission.objects.all()
            if not user_obj.is_superuser:
                of_groups = rows.filter(group__user=user_obj)
                own = rows.filter(user=user_obj)
                rows = rows.filter(Q(pk__in=own.values("pk")) | Q(pk__in=of_groups.values("pk")))
            names = rows.values_list("content_type__app_label", "codename").order_by()
            user_obj._perm_cache = {f"{label}.{name}" for label, name in names}
        found: set[str] = user_obj._perm_cache
        return found

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return super().has_module_perms(user_obj, app_label) or any(
            right.startswith(f"{app_label}.") for right in _rights_of(user_obj)
        )


def _rights_of(user: Any) -> Iterator[str]:
    if user.is_active and user.is_staff:
        yield from CATALOGUE
    for access in roles_of(user).values():
        yield from RIGHTS[access.role]

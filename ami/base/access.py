"""What layers below and above the models of projects need to know of access.

:mod:`ami.main.access` has the rules.
"""

from typing import Any

from django.db.models import QuerySet


def visible(rows: QuerySet[Any], user: Any, perm: str | None = None) -> QuerySet[Any]:
    """Return the rows that the person may see, or on which they have the permission."""
    for_user = getattr(rows, "for_user", None)
    return rows if for_user is None else for_user(user, perm)


def rows_without(rows: QuerySet[Any], user: Any, perm: str) -> QuerySet[Any]:
    """Return those of the rows, which the person may see, on which they lack the permission."""
    permitted = visible(rows, user, perm)
    own = getattr(rows, "projects", None)
    if permitted is rows or (own is not None and own <= permitted.projects):  # type: ignore[attr-defined]
        return rows.none()
    return rows.exclude(pk__in=permitted.values("pk"))


def newest_ids(rows: QuerySet[Any], limit: int) -> list[int] | None:
    """Return the ids of the newest rows if they are all rows of several projects; else None."""
    read = getattr(rows, "newest_ids", None)
    return None if read is None else read(limit)


def visible_rows_of(model: Any, user: Any, perm: str | None = None) -> QuerySet[Any]:
    return visible(model._default_manager.all(), user, perm)


def is_of_projects(model: Any) -> bool:
    """Whether some of the model's rows can be seen by the members of their projects only."""
    return hasattr(model, "project_path")


def projects_of(row: Any) -> frozenset[int] | None:
    """Return the ids of the projects of a row; None if it is shared, empty if it is an orphan."""
    path = getattr(type(row), "project_path", None)
    if path is None:
        return None
    *steps, last = path.split("__")
    for step in steps:
        row = getattr(row, step)
    if last == "projects":
        return frozenset(project.pk for project in row.projects.all()) or None
    pk = row.pk if last == "pk" else getattr(row, f"{last}_id")
    return frozenset(() if pk is None else (pk,))

"""Who may import: people who may add every kind of row that an import adds, and change taxa."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from ami.exchange.reading.registry import NAME_LIST
from ami.exchange.taxa import lists_named
from ami.jobs.models import Job
from ami.main.access import ROWS
from ami.main.models import Project, TaxaList

# What all projects share, to which an import adds the names of the file.
SHARED = ("main.add_taxon", "ml.change_algorithmcategorymap")
OF_PROJECT = tuple(name.replace(".", ".add_") for name in ROWS)
OF_TAXA = ("main.add_taxon", "main.change_taxon")
ADD = "exchange.add_import"


def may_import(user: Any, project: Project | None = None) -> bool:
    """Whether the person may import into a project, or, without one, into some project."""
    if project is not None and not all(user.has_perm(perm, project) for perm in OF_PROJECT):
        return False
    return all(user.has_perm(perm) for perm in SHARED)


def rights_for_names(
    list_name: str, project: Project | None = None
) -> Iterator[tuple[str, TaxaList | None]]:
    """Yield the permissions that the import of a name list needs, some of them on a taxa list."""
    yield from ((perm, None) for perm in OF_TAXA)
    known = lists_named(list_name, project)
    yield from (("main.change_taxalist", one) for one in known)
    if not known:
        yield "main.add_taxalist", None


def may_import_names(user: Any) -> bool:
    """Whether the person may import some name list."""
    lists = ("main.add_taxalist", "main.change_taxalist")
    return all(map(user.has_perm, OF_TAXA)) and any(map(user.has_perm, lists))


def lacking_for_names(user: Any, list_name: str, project: Project | None) -> str:
    """Return the first permission that the person lacks to import a name list, or ""."""
    if project is not None and not user.has_perm(ADD, project):
        return ADD
    needed = rights_for_names(list_name, project)
    return next((perm for perm, row in needed if not user.has_perm(perm, row)), "")


def may_run(user: Any, job: Job) -> bool:
    """Whether the person may start the import of a Job anew."""
    if (list_name := list_of(job)) is not None:
        return not lacking_for_names(user, list_name, job.project)
    return may_import(user, job.project)


def list_of(job: Job) -> str | None:
    """Return the name of the taxa list of a Job that imports a name list, and otherwise None."""
    if job.parameters.get("format") != NAME_LIST.key:
        return None
    options = job.parameters.get("options")
    return str(options.get("list_name", "")) if isinstance(options, dict) else ""


def projects_to_import_into(user: Any) -> QuerySet[Project]:
    """Return the projects into which the person may import."""
    rows = Project.objects.for_user(user, ADD)
    return rows if may_import(user) or may_import_names(user) else rows.none()

"""The rows that a revert leaves alone, with the reason and the cause of each."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from django.apps import apps
from django.db.models import Model

from ami.base.links import change_link, list_url
from ami.jobs.journal.undo import Undone
from ami.jobs.models import Job, JobChange
from ami.users.models import User

SHOWN = 20
KINDS = {"revert": "a revert", "data_integrity": "a repair"}
BY_HAND = "a change outside Jobs"


class LeftRows(NamedTuple):
    """Rows of one table with the same reason and cause: links to the first, and the total."""

    noun: str
    reason: str
    cause: str
    rows: int
    links: list[str]

    @property
    def more(self) -> int:
        return self.rows - len(self.links)


class LeftTable(NamedTuple):
    """The first rows of a table, as (link, reason, cause), and the URL of the full list."""

    noun: str
    rows: list[tuple[str, str, str]]
    total: int
    url: str

    @property
    def more(self) -> int:
        return self.total - len(self.rows)


class Causes:
    """Links to the Jobs and users that caused rows to be left alone, in two queries."""

    def __init__(self, jobs: Iterable[int | None], users: Iterable[int | None]) -> None:
        self.jobs = Job.objects.only("name", "job_type_key").in_bulk({pk for pk in jobs if pk})
        self.users = User.objects.in_bulk({pk for pk in users if pk})

    def of(self, job: int | None, user: int | None) -> str:
        if job is not None:
            return change_link(Job, job, self._name(job))
        return change_link(User, user, self.users.get(user, "a person")) if user else BY_HAND

    def _name(self, pk: int) -> str:
        job = self.jobs.get(pk)
        kind = KINDS.get(job.job_type_key, "a run") if job else "deleted since"
        return f"Job {pk} ({kind})"


def left_of(undone: Iterable[Undone]) -> list[LeftRows]:
    """The rows that a revert would leave alone, by table."""
    groups: dict[tuple[str, str, int, int], list[Undone]] = {}
    for one in undone:
        if one.reason:
            key = (one.model, one.reason, one.by_job or 0, one.by_user or 0)
            groups.setdefault(key, []).append(one)
    causes = Causes((job for _, _, job, _ in groups), (user for *_, user in groups))
    return [
        LeftRows(
            noun=_noun(model, rows=(number := sum(one.rows for one in group))),
            reason=reason,
            cause=causes.of(job or None, user or None),
            rows=number,
            links=_links(model, [pk for one in group for pk in one.ids][:SHOWN], bare=True),
        )
        for (model, reason, job, user), group in sorted(groups.items())
    ]


def left_tables(job: Job, counts: Mapping[str, int]) -> list[LeftTable]:
    """The rows that a revert left alone, by table; `counts` holds their number for each table."""
    left = job.changes.filter(kind=JobChange.Kind.LEFT).order_by("pk")
    found = {model: list(left.filter(model=model)[:SHOWN]) for model in counts}
    told = [reason_of(change) for rows in found.values() for change in rows]
    causes = Causes((job for _, job, _ in told), (user for *_, user in told))
    return [
        LeftTable(
            noun=_noun(model),
            rows=[
                (link, reason, causes.of(job, user))
                for (reason, job, user), link in zip(
                    map(reason_of, rows), _links(model, [r.object_id for r in rows]), strict=True
                )
            ],
            total=counts[model],
            url=list_url(JobChange, job__id__exact=job.pk, kind__exact="left", table=model),
        )
        for model, rows in found.items()
    ]


def reason_of(change: JobChange) -> tuple[str, int | None, int | None]:
    """Why the row was left alone, and because of which Job or user."""
    told = change.after or {}
    return told["reason"], told.get("job"), told.get("user")


def _links(label: str, ids: list[int], *, bare: bool = False) -> list[str]:
    """The rows, as links if they exist; `bare` shows only their ids."""
    model: type[Model] = apps.get_model(label)
    there = set(model._default_manager.filter(pk__in=ids).values_list("pk", flat=True))
    name = "" if bare else f"{str(model._meta.verbose_name).capitalize()} "
    return [change_link(model, pk, f"{name}{pk}") if pk in there else f"{name}{pk}" for pk in ids]


def _noun(label: str, *, rows: int = 2) -> str:
    meta = apps.get_model(label)._meta
    return str(meta.verbose_name if rows == 1 else meta.verbose_name_plural)

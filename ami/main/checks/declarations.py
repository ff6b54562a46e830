"""The declaration of a check, and the registry of all checks."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from django.db import models
from django.db.models import QuerySet

from ami.base.registry import Registry, UnknownKeyError
from ami.main.checks.repair import RepairContext
from ami.main.checks.schemas import IntegrityCheckResult


class Severity(models.TextChoices):
    """The importance of a finding, lowest first."""

    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        return Severity.values.index(self)


class Tag(models.TextChoices):
    """What a check examines. Checks run in this order, so that later ones benefit from repairs."""

    CATALOGUE = "catalogue"
    CAPTURES = "captures"
    CLASSIFICATIONS = "classifications"
    OCCURRENCES = "occurrences"
    DETERMINATIONS = "determinations"
    COUNTS = "counts"


Get = Callable[[int | None, int | None], QuerySet[Any]]


class Reconcile(Protocol):
    def __call__(
        self,
        project_id: int | None = ...,
        job_id: int | None = ...,
        *,
        dry_run: bool = ...,
        context: RepairContext = ...,
    ) -> IntegrityCheckResult: ...


class OnePass(NamedTuple):
    """A faster way to find the faulty rows of several pairs, if the scope is all rows.

    `query` returns a fault and the id of each faulty row; `fault` is that of this pair.
    """

    query: str
    fault: str


@dataclass(frozen=True)
class Pair:
    """The functions that find and repair faulty rows of one table.

    `get(project_id, job_id)` returns the rows as a lazy queryset and changes nothing. `reconcile`
    takes the same arguments, a list of ids, `dry_run` and `context`. Pairs with the same query in
    `one_pass` are examined together.
    """

    get: Get
    reconcile: Reconcile
    one_pass: OnePass | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """A fault that rows can have. The texts are sentences for operators, in Markdown.

    There is one pair per table; most checks have one pair. `repair` is None if only a person can
    decide what is correct. Raises TypeError if a function of a pair lacks a parameter.
    """

    key: str
    title: str
    severity: Severity
    tag: Tag
    pairs: tuple[Pair, ...]
    meaning: str
    cause: str
    repair: str | None
    limits: str = field(default="")

    def __post_init__(self) -> None:
        for pair in self.pairs:
            _require(pair.get, "project_id", "job_id")
            _require(pair.reconcile, "project_id", "job_id", "dry_run", "context")


CHECKS: Registry[Check] = Registry("check")


def register(check: Check) -> Check:
    """Register a check. Raises ValueError if another check has the same key."""
    return CHECKS.register(check.key, check)


def chosen_checks(*, keys: Iterable[str] = (), tags: Iterable[str] = ()) -> list[Check]:
    """Return the checks with any of the keys or tags, or all checks, in the order of execution.

    Raises UnknownKeyError for an unknown key or tag.
    """
    wanted = set(tags)
    for tag in sorted(wanted.difference(Tag.values)):
        raise UnknownKeyError(f"Unknown tag {tag!r}. Known tags: {', '.join(Tag.values)}.")
    chosen = {CHECKS[key].key for key in keys}
    chosen |= {check.key for check in CHECKS.values() if check.tag in wanted}
    checks = [CHECKS[key] for key in chosen] or list(CHECKS.values())
    return sorted(checks, key=lambda check: (Tag.values.index(check.tag), check.key))


def _require(function: Callable[..., Any], *names: str) -> None:
    missing = [name for name in names if name not in inspect.signature(function).parameters]
    if missing:
        what = getattr(function, "__name__", repr(function))
        raise TypeError(f"{what} must take {', '.join(missing)}.")

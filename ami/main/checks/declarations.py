"""The declaration of a check, and the registry of all checks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from inspect import Parameter, Signature, signature
from typing import Any, NamedTuple

from django.db import models
from django.db.models import QuerySet

from ami.base.registry import Registry, UnknownKeyError
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


Get = Callable[..., QuerySet[Any]]
Fix = Callable[[list[int]], object]
Reconcile = Callable[..., IntegrityCheckResult]
STILL_AT_FAULT = "The row is still faulty after the repair."


class OnePass(NamedTuple):
    """A faster way to find the faulty rows of several pairs, if the scope is all rows.

    `query` returns a fault and the id of each faulty row; `fault` is that of this pair.
    """

    query: str
    fault: str


@dataclass(frozen=True)
class Pair:
    """How the faulty rows of one table are found and repaired.

    `get(project_id, job_id, ids)` returns the rows as a lazy queryset and changes nothing.
    `fix(ids)` repairs rows, in a transaction; it is None if only a person can decide. Rows that it
    leaves faulty are unfixable, for the reason `otherwise`. Pairs with the same query in `one_pass`
    are examined together.
    """

    get: Get
    fix: Fix | None = None
    otherwise: str = STILL_AT_FAULT
    one_pass: OnePass | None = None

    @property
    def label(self) -> str:
        """The label of the rows' model, such as "main.occurrence"."""
        return str(self.get(None, None).model._meta.label_lower)


# What repairs the rows that a pair finds in a project, of a Job, and with some ids. The run engine
# registers it, because it is in a higher layer.
REPAIRERS: Registry[Callable[..., IntegrityCheckResult]] = Registry("repairer")
ENGINE = "engine"


def reconciler(name: str, pair: Pair) -> Reconcile:
    """Return the function `name`, with the parameters of `pair.get` and `dry_run=True`."""
    dry_run = Parameter("dry_run", Parameter.POSITIONAL_OR_KEYWORD, default=True, annotation=bool)
    accepted = Signature(
        [*signature(pair.get).parameters.values(), dry_run],
        return_annotation=IntegrityCheckResult,
    )

    def reconcile(*args: Any, **kwargs: Any) -> IntegrityCheckResult:
        """Count these rows; with `dry_run=False`, repair them as a Job, in this process."""
        given = accepted.bind(*args, **kwargs)
        given.apply_defaults()
        *scope, counts_only = given.arguments.values()
        if counts_only:
            return IntegrityCheckResult(checked=pair.get(*scope).count())
        return REPAIRERS[ENGINE](pair, *scope)

    reconcile.__name__ = reconcile.__qualname__ = name
    reconcile.__module__ = pair.get.__module__
    reconcile.__signature__ = accepted  # type: ignore[attr-defined]
    return reconcile


@dataclass(frozen=True, kw_only=True)
class Check:
    """A fault that rows can have. The texts are sentences for operators, in Markdown.

    There is one pair per table; most checks have one pair. `repair` is None if only a person can
    decide what is correct. Raises TypeError if a function of a pair lacks a parameter, and
    ValueError if `repair` does not say what the pairs do.
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
            _require_scope(pair.get)
            if (pair.fix is None) != (self.repair is None):
                raise ValueError(f"{self.key} must have a fix and a text on it, or neither.")


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


def _require_scope(function: Get) -> None:
    names = list(signature(function).parameters)
    if names[:2] != ["project_id", "job_id"] or len(names) < 3:
        what = getattr(function, "__name__", repr(function))
        raise TypeError(f"{what} must take project_id, job_id and a list of ids.")

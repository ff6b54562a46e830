"""The rows that a user has selected, and whether a run can be started on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from ami.base.ids import parse_ids
from ami.base.links import change_link
from ami.base.postgresql import through_indexes
from ami.jobs.admin.pages import badges
from ami.jobs.models import Job
from ami.main.models import Identification
from ami.ml.post_processing.admin.parameters import options_with_links
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.ml.post_processing.scopes import SCOPES, Scope
from ami.ml.post_processing.service import JOB_TYPE

MAX_ROWS = 200
SHOWN_ROWS = 10
# The most rows in scope that are counted before the page is shown, which takes at most 0.1 s.
CAPTURES_AT_ONCE = 2_500
DETECTIONS_AT_ONCE = 5_000
LAST_RUNS = 3


class SelectionError(Exception):
    """No run can be started on the selection; the message says why and what to do."""


class Counts(NamedTuple):
    """The numbers of rows in scope. Occurrences that people have identified keep their names."""

    captures: int = 0
    detections: int = 0
    occurrences: int = 0
    identified: int = 0


@dataclass(frozen=True)
class Selection:
    """The selected rows as the confirmation page shows them.

    `scope` is None if the model is not a scope. `vanished` is empty, or says how many rows have
    left the list since they were selected.
    """

    ids: Sequence[int]
    rows: Sequence[Any]
    noun: str
    scope: Scope | None
    vanished: str = ""

    @classmethod
    def of(cls, request: HttpRequest, queryset: QuerySet[Any]) -> "Selection":
        """Raises SelectionError if no rows are selected, or too many."""
        opts = queryset.model._meta
        asked = refuse_unusable(request, noun=str(opts.verbose_name_plural))
        selection = cls.of_rows(queryset)
        if not selection.ids:
            raise SelectionError(
                f"The selected {opts.verbose_name_plural} are no longer in this list: they were "
                "deleted, or the filters exclude them."
            )
        gone = len(asked) - len(selection.ids)
        if not gone:
            return selection
        return replace(
            selection,
            vanished=(
                f"{gone} of the {len(asked)} selected {opts.verbose_name_plural} are no longer in "
                "the list. Nothing was started; check the selection, then run it on the rest."
            ),
        )

    @classmethod
    def of_rows(cls, queryset: QuerySet[Any]) -> "Selection":
        opts = queryset.model._meta
        ids = sorted(queryset.order_by().values_list("pk", flat=True))
        scope = next((scope for scope in SCOPES if scope.model is queryset.model), None)
        return cls(
            ids=ids,
            rows=list(queryset.order_by("pk")[:SHOWN_ROWS]),
            noun=str(opts.verbose_name if len(ids) == 1 else opts.verbose_name_plural),
            scope=scope,
        )

    @cached_property
    def few(self) -> Counts | None:
        """The rows in scope; None if there are more than the page counts before it is shown."""
        if self.scope is None:
            return Counts()
        with through_indexes():
            if self.scope.entries(self.ids)[: CAPTURES_AT_ONCE + 1].count() > CAPTURES_AT_ONCE:
                return None
            found = self._detections(self.scope.detections(self.ids)[: DETECTIONS_AT_ONCE + 1])
            if found["detections"] > DETECTIONS_AT_ONCE:
                return None
            return Counts(self.scope.captures(self.ids).count(), **found)

    @cached_property
    def counts(self) -> Counts:
        """The rows in scope, however long it takes to count them."""
        if self.few or self.scope is None:
            return self.few or Counts()
        found = self._detections(self.scope.detections(self.ids))
        return Counts(self.scope.captures(self.ids).count(), **found)

    def _detections(self, rows: QuerySet[Any]) -> dict[str, int]:
        """The numbers of these detections and of their occurrences, in one query."""
        said = Identification.objects.filter(
            occurrence=OuterRef("occurrence_id"), withdrawn=False, taxon__isnull=False
        )
        counts: dict[str, int] = rows.annotate(is_identified=Exists(said)).aggregate(
            detections=Count("pk"),
            occurrences=Count("occurrence_id", distinct=True),
            identified=Count("occurrence_id", distinct=True, filter=Q(is_identified=True)),
        )
        return counts

    def last_runs(self, task_cls: type[BasePostProcessingTask], user: Any) -> list[dict[str, Any]]:
        """The latest runs of the method on one of these rows, with their options."""
        if self.scope is None:
            return []
        jobs = Job.objects.for_user(user).filter(
            self.scope.jobs_on(self.ids),
            job_type_key=JOB_TYPE,
            params__task=task_cls.key,
            finished_at__isnull=False,
        )
        return [
            {
                "link": change_link(Job, job.pk, f"Job {job.pk}"),
                "state": badges(job),
                "ended": job.finished_at,
                "options": options_with_links(task_cls, job.params["config"], user),
            }
            for job in jobs.order_by("-pk")[:LAST_RUNS]
        ]

    def nothing_for(self, task_cls: type[BasePostProcessingTask]) -> str | None:
        """Why the method has nothing to do on the selection; None if there may be something."""
        return task_cls.nothing_in(self.scope.detections(self.ids)) if self.scope else None

    @property
    def unlisted(self) -> int:
        return len(self.ids) - len(self.rows)


def refuse_unusable(request: HttpRequest, *, noun: str) -> set[int]:
    """The selected ids. Raises SelectionError if no changelist can have offered them."""
    if request.POST.get("select_across", "0") != "0":
        raise SelectionError(
            f"“Select all across pages” cannot be used here: select the {noun} one by one, at most "
            f"{MAX_ROWS} at a time, or run the method on a capture set of all their captures."
        )
    asked = set(request.POST.getlist(ACTION_CHECKBOX_NAME))
    if not asked:
        raise SelectionError(f"No {noun} are selected: select at least one.")
    if len(asked) > MAX_ROWS:
        raise SelectionError(
            f"{len(asked):,} {noun} are selected: select at most {MAX_ROWS} at a time."
        )
    try:
        return parse_ids(asked, noun=noun)
    except ValueError as odd:
        raise SelectionError(str(odd)) from None

"""What a sample can be drawn from: one query of occurrences, with the names to judge."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.messages import MessageFailure
from django.core.exceptions import EmptyResultSet
from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict

from ami.base.access import visible_rows_of
from ami.base.storable import storable_text
from ami.jobs.models import Job
from ami.main.models import Event, Occurrence, Project, SourceImageCollection
from ami.ml.post_processing.scopes import SCOPES, stored_scope
from ami.review.models import DRAW, Sample
from ami.users.models import User

MODELS: dict[Sample.Source, type[Model]] = {
    Sample.Source.JOB: Job,
    Sample.Source.COLLECTION: SourceImageCollection,
    Sample.Source.EVENT: Event,
    Sample.Source.PROJECT: Project,
}

# The occurrences of a Job's project, with their taxa before and after the Job. An occurrence that
# it changed several times has the first taxon before and the last one after. The minimum and the
# maximum of arrays that begin with the id find them without a sort.
CHANGED = """
SELECT c.object_id AS id, c.last[2]::bigint AS taxon, c.first[2]::bigint AS taxon_before,
       COALESCE(c.last[3], o.determination_score) AS score
FROM (
    SELECT object_id, min(ARRAY[id, taxon_before]::float8[]) AS first,
           max(ARRAY[id, taxon_after, (after ->> 'determination_score')::float8]::float8[]) AS last
    FROM jobs_jobchange
    WHERE job_id = %s AND (taxon_before IS NOT NULL OR taxon_after IS NOT NULL)
    GROUP BY object_id
) c
JOIN main_occurrence o ON o.id = c.object_id AND o.project_id = %s
JOIN main_taxon t ON t.id = c.last[2]::bigint
WHERE c.first[2] IS DISTINCT FROM c.last[2]
"""

# All occurrences in the scope of a Job; those that it left alone have the same taxon twice.
IN_SCOPE = """
SELECT s.id, COALESCE(c.taxon, s.taxon),
       CASE WHEN c.id IS NULL THEN s.taxon ELSE c.taxon_before END,
       CASE WHEN c.id IS NULL THEN s.score ELSE c.score END
FROM ({scope}) s (id, taxon, score) LEFT JOIN ({changed}) c ON c.id = s.id
"""
NO_FILTER = "The list of occurrences does not know the filter “{query}”."
NOTHING = "SELECT NULL::bigint, NULL::bigint, NULL::float8 WHERE false"
ROWS = "SELECT id, taxon, NULL::bigint, score FROM ({rows}) o (id, taxon, score)"


class DrawingRefusedError(Exception):
    """The sample cannot be drawn; the message says why."""


class Population(NamedTuple):
    """A query of id, taxon, taxon before and score; it returns each occurrence once."""

    sql: str
    params: tuple[Any, ...]


@dataclass(frozen=True)
class Origin:
    """What a sample is drawn from: a row, or the occurrences that the filter of a list finds.

    `user` is the person who draws; None draws without restrictions.
    """

    source: Sample.Source
    project: Project
    row: Any = None
    query: str = ""
    user: User | None = None

    @property
    def source_id(self) -> int | None:
        return None if self.row is None else self.row.pk

    @property
    def is_job(self) -> bool:
        return self.source == Sample.Source.JOB

    @property
    def strata(self) -> list[Sample.Strata]:
        """By what a sample from here can be stratified."""
        is_of_scope = self.is_job and _scope_of(self.row) is not None
        return [one for one in Sample.Strata if one != Sample.Strata.RUN or is_of_scope]

    def __str__(self) -> str:
        if self.source == Sample.Source.OCCURRENCES:
            return f"Occurrences of {self.project}"
        label = self.row.name if self.is_job else str(self.row)
        noun = str(MODELS[self.source]._meta.verbose_name).capitalize()
        return f"{noun} {self.row.pk}: {label}"

    def population(self, strata: Sample.Strata) -> Population:
        """Return the occurrences of the project that have a name to judge.

        A Job's are those whose name it changed; to compare changed ones with unchanged ones, all
        occurrences of its scope. Raises DrawingRefusedError.
        """
        if strata not in self.strata:
            raise DrawingRefusedError(
                f"{self}: a sample of it cannot be stratified by “{strata.label}”."
            )
        if not self.is_job:
            rows = self._columns(self._rows())
            return Population(ROWS.format(rows=rows.sql), rows.params)
        changed = Population(CHANGED, (self.row.pk, self.project.pk))
        if strata != Sample.Strata.RUN:
            return changed
        scope = self._columns(_scope_of(self.row) or Occurrence.objects.none())
        sql = IN_SCOPE.format(scope=scope.sql, changed=changed.sql)
        return Population(sql, (*scope.params, *changed.params))

    def _rows(self) -> QuerySet[Occurrence]:
        if self.source == Sample.Source.OCCURRENCES:
            return _filtered(self.query, self.user)
        if self.source == Sample.Source.PROJECT:
            return Occurrence.objects.all()
        return _on(MODELS[self.source], [self.row.pk])

    def _columns(self, rows: QuerySet[Occurrence]) -> Population:
        rows = rows.filter(project=self.project, determination__isnull=False).order_by()
        columns = rows.values_list("pk", "determination_id", "determination_score")
        try:
            return Population(*columns.query.sql_with_params())
        except EmptyResultSet:  # the filters contradict each other
            return Population(NOTHING, ())


def find_origin(
    source: str,
    *,
    source_id: int | None = None,
    query: str = "",
    project_id: int | None = None,
    user: User | None = None,
) -> Origin:
    """Find what a sample is to be drawn from, among the rows on which `user` may draw.

    A list of occurrences needs `project_id`, other sources `source_id`. Raises DrawingRefusedError.
    """
    if source not in Sample.Source.values:
        raise DrawingRefusedError(
            f"A sample is drawn from {', '.join(Sample.Source.values)}, got {source[:50]!r}."
        )
    kind = Sample.Source(source)
    if kind == Sample.Source.OCCURRENCES:
        if query != storable_text(query):
            raise DrawingRefusedError(NO_FILTER.format(query=storable_text(query)[:100]))
        project = _row(Project, project_id, user)
        return Origin(kind, project, query=query, user=user)
    row = _row(MODELS[kind], source_id, user)
    project = row if kind == Sample.Source.PROJECT else row.project
    if project is None:
        raise DrawingRefusedError(f"{_noun(MODELS[kind])} {row.pk} belongs to no project.")
    if kind == Sample.Source.JOB and (reason := _refusal(row)):
        raise DrawingRefusedError(reason)
    return Origin(kind, project, row, user=user)


def _row(model: type[Model], pk: int | None, user: User | None) -> Any:
    everything = model._default_manager.all()
    rows = visible_rows_of(model, user, DRAW) if user else everything
    row = None if pk is None else rows.filter(pk=pk).first()
    if row is None:
        what = _noun(model)
        raise DrawingRefusedError(
            f"Name the {what}." if pk is None else f"There is no {what} {pk}."
        )
    return row


def _noun(model: type[Model]) -> str:
    return "Job" if model is Job else str(model._meta.verbose_name)


def _refusal(job: Job) -> str:
    if not job.is_final:
        return f"Job {job.pk} has not ended. Draw a sample of its changes afterwards."
    if job.pruned_at:
        return f"The journal of Job {job.pk} was deleted on {job.pruned_at:%Y-%m-%d}."
    return ""


def _on(model: type[Model], ids: list[int]) -> QuerySet[Occurrence]:
    """The occurrences of capture sets, nights or occurrences."""
    if model is Occurrence:
        return Occurrence.objects.filter(pk__in=ids)
    if model is Event:
        return Occurrence.objects.filter(event__in=ids)
    scope = next(scope for scope in SCOPES if scope.model is model)
    return Occurrence.objects.filter(pk__in=scope.detections(ids).values("occurrence"))


def _scope_of(job: Job) -> QuerySet[Occurrence] | None:
    """The occurrences of the rows that a Job ran on; None if it is not a run of a method."""
    found = stored_scope(job.params)
    return None if found is None else _on(found[0].model, found[1])


def _filtered(query: str, user: User | None) -> QuerySet[Occurrence]:
    """The occurrences that the list shows the person at this address.

    Raises DrawingRefusedError for an address that the list refuses.
    """
    request = HttpRequest()
    request.method = "GET"
    request.GET = QueryDict(query)
    request.user = user or User(is_active=True, is_staff=True, is_superuser=True)
    try:
        found = admin.site.get_model_admin(Occurrence).get_changelist_instance(request)
    except (IncorrectLookupParameters, MessageFailure):  # it would tell what is wrong with a search
        raise DrawingRefusedError(NO_FILTER.format(query=query[:100])) from None
    rows: QuerySet[Occurrence] = found.queryset
    return rows

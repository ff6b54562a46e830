"""The scopes that a run can have, with their captures and detections."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from django.db.models import Model, OuterRef, Q, QuerySet
from pydantic import BaseModel, root_validator, validator
from pydantic.errors import IntegerError
from pydantic.fields import ModelField

from ami.base.access import visible_rows_of
from ami.base.ids import RowId
from ami.base.subqueries import Probe
from ami.base.words import in_words
from ami.jobs.states import JobFailedError
from ami.main.models import (
    Detection,
    Event,
    Occurrence,
    SourceImage,
    SourceImageCollection,
    TaxaList,
)
from ami.ml.models import Algorithm
from ami.users.models import User

SEVERAL = 10  # of the rows of a condition, because PostgreSQL compares each with every list of ids
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Scope:
    """A model whose rows a run can work on.

    `field` is the name of the option that holds the id of a row, `flag` its name on the command
    line. `captures` and `detections` return the distinct captures and detections of any number of
    rows. `among` restricts given detections to those of the rows; unlike `detections`, it reads
    only what belongs to the given ones. `entries` returns at least as many rows as there are
    captures. It does not look for duplicates, so its first rows are read quickly. `several` is the
    name of the option that holds the ids of several rows for one Job.
    """

    field: str
    flag: str
    model: type[Model]
    captures: Callable[[Iterable[int]], QuerySet[SourceImage]]
    detections: Callable[[Iterable[int]], QuerySet[Detection]]
    among: Callable[[QuerySet[Detection], Iterable[int]], QuerySet[Detection]]
    entries: Callable[[Iterable[int]], QuerySet[Any]]
    several: str | None = None

    def jobs_on(self, ids: Sequence[int]) -> Q:
        """A condition on Jobs: they ran on one of these rows, alone or as one of the first 10."""
        found = Q(**{f"params__config__{self.field}__in": list(ids)})
        if self.several:
            for pk in ids[:SEVERAL]:
                found |= Q(**{f"params__config__{self.several}__contains": pk})
        return found


def _members(ids: Iterable[int]) -> QuerySet[Any]:
    members = SourceImageCollection.images.through.objects.filter(sourceimagecollection_id__in=ids)
    return members.values("sourceimage_id")


def _captures_of_sets(ids: Iterable[int]) -> QuerySet[SourceImage]:
    return SourceImage.objects.filter(pk__in=_members(ids))


def _detections_of_sets(ids: Iterable[int]) -> QuerySet[Detection]:
    return Detection.objects.filter(source_image__in=_members(ids))


def _among_sets(detections: QuerySet[Detection], ids: Iterable[int]) -> QuerySet[Detection]:
    members = SourceImage.objects.filter(Probe(_members(ids).filter(sourceimage=OuterRef("pk"))))
    return detections.filter(source_image__in=members)


def _captures_of_occurrences(ids: Iterable[int]) -> QuerySet[SourceImage]:
    shown = Detection.objects.filter(occurrence__in=ids)
    return SourceImage.objects.filter(pk__in=shown.values("source_image_id"))


def _detections_of_occurrences(ids: Iterable[int]) -> QuerySet[Detection]:
    return _among_occurrences(Detection.objects.all(), ids)


def _among_occurrences(detections: QuerySet[Detection], ids: Iterable[int]) -> QuerySet[Detection]:
    return detections.filter(occurrence__in=ids)


def _captures_of_events(ids: Iterable[int]) -> QuerySet[SourceImage]:
    return SourceImage.objects.filter(event__in=ids)


def _detections_of_events(ids: Iterable[int]) -> QuerySet[Detection]:
    return _among_events(Detection.objects.all(), ids)


def _among_events(detections: QuerySet[Detection], ids: Iterable[int]) -> QuerySet[Detection]:
    return detections.filter(source_image__event__in=ids)


SCOPES = (
    Scope(
        "source_image_collection_id",
        "collection",
        SourceImageCollection,
        _captures_of_sets,
        _detections_of_sets,
        _among_sets,
        _members,
    ),
    Scope(
        "occurrence_id",
        "occurrence",
        Occurrence,
        _captures_of_occurrences,
        _detections_of_occurrences,
        _among_occurrences,
        _detections_of_occurrences,
    ),
    Scope(
        "event_id",
        "event",
        Event,
        _captures_of_events,
        _detections_of_events,
        _among_events,
        _captures_of_events,
        several="event_ids",
    ),
)
SCOPE_FIELDS = frozenset(filter(None, (f for s in SCOPES for f in (s.field, s.several))))


def stored_scope(params: Any) -> tuple[Scope, list[int]] | None:
    """The scope and the ids of the rows that the stored parameters of a Job name.

    None if they name none, as those of other Jobs than runs of methods, or are malformed.
    """
    config = params.get("config") if isinstance(params, dict) else None
    if not isinstance(config, dict):
        return None
    for scope in SCOPES:
        for name in filter(None, (scope.field, scope.several)):
            value = config.get(name)
            listed = value if isinstance(value, list) else [value]
            ids = [pk for pk in listed if isinstance(pk, int)]
            if ids and ids == listed:
                return scope, ids
    return None


class TaxaListId(RowId):
    """The id of a taxa list, which must exist when a run is launched."""

    model = TaxaList


class AlgorithmId(RowId):
    """The id of an algorithm, which must exist when a run is launched."""

    model = Algorithm


class ScopedConfig(BaseModel):
    """Base of a method's options: refuses unknown options, and requires exactly one scope."""

    class Config:
        extra = "forbid"

    @validator("*", pre=True)
    def no_fraction_is_cut_off(cls, value: Any, field: ModelField) -> Any:  # noqa: N805
        kind = field.type_
        is_whole = isinstance(kind, type) and issubclass(kind, int) and kind is not bool
        if is_whole and isinstance(value, float) and value % 1:
            raise IntegerError
        return value

    @root_validator(skip_on_failure=True)
    def exactly_one_scope(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        fields = [field for field in cls.__fields__ if field in SCOPE_FIELDS]
        given = [field for field in fields if values[field] is not None]
        if len(given) != 1:
            raise ValueError(
                f"Exactly one of {', '.join(fields)} must be given, "
                f"got {' and '.join(given) or 'none'}."
            )
        return values


def scopes_of(config_schema: type[BaseModel]) -> list[Scope]:
    """The scopes for which a schema has an option, for one row or for several."""
    names = config_schema.__fields__
    return [scope for scope in SCOPES if scope.field in names or scope.several in names]


def scope_options(
    config_schema: type[BaseModel], scope: Scope, ids: Sequence[int]
) -> dict[str, Any]:
    """The option, by name, that passes these rows of a scope to the schema."""
    if len(ids) == 1 and scope.field in config_schema.__fields__:
        return {scope.field: ids[0]}
    return {str(scope.several): sorted(ids)}


def options_of(config_schema: type[BaseModel]) -> list[ModelField]:
    """The fields of a schema that a user fills in: all except its scopes."""
    return [field for name, field in config_schema.__fields__.items() if name not in SCOPE_FIELDS]


def label_of(option: ModelField) -> str:
    """The label of an option on pages."""
    return str(option.field_info.title or option.name.replace("_", " ").capitalize())


def written_options(config_schema: type[BaseModel], config: Any) -> list[tuple[str, str]]:
    """The options of a run as people write them, with the names of rows: labels and values.

    Options that are not set are left out. It accepts any configuration that was ever stored.
    """
    stored = config if isinstance(config, dict) else {}
    written = ((option, stored.get(option.name)) for option in options_of(config_schema))
    return [
        (label_of(option), written_value(option, value))
        for option, value in written
        if value not in (None, "", [], {})
    ]


def written_value(option: ModelField, value: Any) -> str:
    """The value of an option as people write it."""
    if (model := model_of(option)) is not None and isinstance(value, int):
        return str(model._default_manager.filter(pk=value).first() or f"deleted ({value})")
    return str(value) if isinstance(value, float) else in_words(value)


def model_of(option: ModelField) -> Any:
    """The model whose rows an option names by their ids; None if it names none."""
    kind = option.type_
    return kind.model if isinstance(kind, type) and issubclass(kind, RowId) else None


def missing_rows(config: BaseModel, *, user: User | None = None) -> list[tuple[str | None, str]]:
    """For each missing row that an option names: the name of the option and a sentence.

    A row that `user` may not see is missing, too.
    """
    faults: list[tuple[str | None, str]] = []
    for name, option in config.__fields__.items():
        model, value = model_of(option), getattr(config, name)
        if model is None or value is None:
            continue
        asked = {value} if isinstance(value, int) else set(value)
        rows = visible_rows_of(model, user) if user else model._default_manager.all()
        found = set(rows.filter(pk__in=asked).values_list("pk", flat=True))
        noun = model._meta.verbose_name
        faults += [
            (name, f"There is no {noun} {pk}: choose another {noun}.") for pk in asked - found
        ]
    return faults


class Chosen(NamedTuple):
    """The rows that a run works on: the ids of rows of a scope.

    `foreign` holds the ids that were listed but left out because another project owns the rows.
    """

    scope: Scope
    ids: list[int]
    foreign: list[int]

    def among(self, detections: QuerySet[Detection]) -> QuerySet[Detection]:
        """Those of some detections that belong to the chosen rows."""
        return self.scope.among(detections, self.ids)


def chosen_scope(config: BaseModel, *, project_id: int | None = None) -> Chosen:
    """The rows that `config` names, for a run of that project.

    Raises JobFailedError if it names no rows, or if one no longer exists.
    """
    for scope in scopes_of(type(config)):
        pk = getattr(config, scope.field, None)
        ids = [pk] if pk is not None else getattr(config, scope.several or "", None)
        if not ids:
            continue
        rows: list[Any] = existing_rows(scope.model, ids)
        if pk is not None or project_id is None:
            return Chosen(scope, ids, foreign=[])
        foreign = [row.pk for row in rows if row.project_id not in {None, project_id}]
        return Chosen(scope, sorted(set(ids) - set(foreign)), foreign)
    raise JobFailedError("The options name no rows to run on.")


def existing_rows(model: type[M], ids: Iterable[int]) -> list[M]:
    """The rows that an option names. Raises JobFailedError if one no longer exists."""
    rows = model._default_manager.in_bulk(ids := sorted(set(ids)))
    for pk in ids:
        if pk not in rows:
            noun = str(model._meta.verbose_name).capitalize()
            raise JobFailedError(f"{noun} {pk} no longer exists.")
    return [rows[pk] for pk in ids]


def existing_row(model: type[M], pk: int) -> M:
    """The row that an option names. Raises JobFailedError if it no longer exists."""
    return existing_rows(model, [pk])[0]

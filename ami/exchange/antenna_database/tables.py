"""The tables of Antenna that are copied, and what becomes of their columns.

A template such as "{path}" is SQL for the value of one of our columns. It names columns of the row
in Antenna's table, and may say how to read them:

- `local`: a time of the deployment's clock, which becomes an instant;
- `server`: a time of Antenna's server, which becomes an instant;
- `floats`: numbers in JSON, which become an array;
- `images`: the ids of the captures of a capture set, as JSON.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import models

from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Membership,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    TaxaList,
    Taxon,
)
from ami.main.models.taxon import NOT_IDENTIFIABLE
from ami.ml.models import Algorithm, AlgorithmCategoryMap, AlgorithmTaskType
from ami.users.models import User

# A column in a template, and how it is read.
COLUMN = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True)
class Table:
    """A table of Antenna, which has the name of ours unless `source` says otherwise.

    `columns` has a template for each of our columns, without the id. `where` limits all copies;
    `of_project` limits those of one project, `{project}`. Tables without it hold what projects
    share: of these, a copy of one project takes the rows that it needs. `cleared` has the columns
    in which a reference to a row that is not copied becomes null. `deployment` is SQL for the
    deployment whose clock the local times show, with `joins` if it takes another table. `owner` is
    the column of links, to whose ids nothing refers, that names the row to which they belong.
    """

    model: type[models.Model]
    columns: dict[str, str]
    where: str = ""
    of_project: str = ""
    source: str = ""
    cleared: frozenset[str] = frozenset()
    deployment: str = ""
    joins: str = ""
    owner: str = ""

    @property
    def name(self) -> str:
        """Our name of the table."""
        return self.model._meta.db_table

    @property
    def antenna_name(self) -> str:
        return self.source or self.name

    @cached_property
    def fields(self) -> dict[str, "models.Field[Any, Any]"]:
        """Our fields, by the name of their columns."""
        known = {field.column: field for field in self.model._meta.concrete_fields}
        return {column: known[column] for column in self.columns}

    @cached_property
    def needed(self) -> list[str]:
        """The columns that Antenna's table must have."""
        return sorted(
            {"id", *(name for name, _ in COLUMN.findall(" ".join(self.columns.values())))}
        )

    def references(self) -> Iterator[tuple[str, str]]:
        """Yield our columns that refer to copied rows, each with our name of their table."""
        for column, field in self.fields.items():
            if isinstance(field, models.ForeignKey):
                yield column, field.remote_field.model._meta.db_table

    def columns_read_as(self, way: str) -> Iterator[tuple[str, str]]:
        """Yield our columns that are read as `local`, `server` or `floats`, with Antenna's."""
        for column, text in self.columns.items():
            for name, read_as in COLUMN.findall(text):
                if read_as == way:
                    yield column, name


def _same(names: str) -> dict[str, str]:
    return {name: f"{{{name}}}" for name in names.split()}


TIMES = {"created_at": "{created_at:server}", "updated_at": "{updated_at:server}"}
OWN_DEPLOYMENT = "s.deployment_id"
PROJECT = "{row}.project_id = {project}"
TASK_TYPES = ", ".join(f"'{one}'" for one in AlgorithmTaskType.values)


def _score(column: str) -> str:
    """SQL for a score whose rounding error is removed, as `ScoreField` does."""
    return (
        f"CASE WHEN {{{column}}} BETWEEN -1e-9 AND 0 THEN 0 "
        f"WHEN {{{column}}} BETWEEN 1 AND 1 + 1e-9 THEN 1 ELSE {{{column}}} END"
    )


# Who is copied is decided by memberships, owners and identifications; see `needs.py`.
USERS = Table(User, {"email": "{email}", "name": "COALESCE({name}, '')"})
PROJECTS = Table(Project, _same("name owner_id") | TIMES, of_project="{row}.id = {project}")
# Antenna keeps roles in groups, such as "12_Vermont_ProjectManager".
ROLES = {
    "ProjectManager": "manager",
    "MLDataManager": "operator",
    "Identifier": "identifier",
}
ROLE_TABLES = ("auth_group", "users_user_groups")
ROLE = "COALESCE((SELECT {of_groups}), 'viewer')".format(
    of_groups="CASE "
    + " ".join(
        f"WHEN bool_or(g.name LIKE '%\\_{theirs}') THEN '{ours}'" for theirs, ours in ROLES.items()
    )
    + " END FROM users_user_groups ug JOIN auth_group g ON g.id = ug.group_id "
    "WHERE ug.user_id = {user_id} AND starts_with(g.name, {project_id} || '_')"
)
MEMBERSHIPS = Table(
    Membership,
    _same("project_id user_id") | {"role": ROLE} | TIMES,
    source="main_userprojectmembership",
    of_project=PROJECT,
    owner="project_id",
)
CATEGORY_MAPS = Table(
    AlgorithmCategoryMap,
    _same("data labels")
    | {"version": "COALESCE({version}, '')", "description": "COALESCE({description}, '')"}
    | TIMES,
)
ALGORITHMS = Table(
    Algorithm,
    _same("name key version category_map_id description")
    | {
        "task_type": f"CASE WHEN {{task_type}} IN ({TASK_TYPES}) THEN {{task_type}} "
        "WHEN {task_type} IS NULL THEN 'unknown' ELSE 'other' END"
    }
    | TIMES,
)
TAXA = Table(
    Taxon,
    _same("name rank parent_id active synonym_of_id gbif_taxon_key notes")
    | {
        "search_names": "COALESCE({search_names}, '{}')",
        "identifiable": f"{{name}} <> '{NOT_IDENTIFIABLE}'",
    }
    | TIMES,
)
TAXA_LISTS = Table(
    TaxaList,
    _same("name") | TIMES,
    of_project="EXISTS (SELECT FROM main_taxalist_projects l "
    "WHERE l.taxalist_id = {row}.id AND l.project_id = {project})",
)
DEPLOYMENTS = Table(
    Deployment,
    _same("project_id name latitude longitude")
    | {"description": "COALESCE({description}, '')", "time_zone": "zone.name"}
    | TIMES,
    of_project=PROJECT,
    deployment="s.id",
)
EVENTS = Table(
    Event,
    _same("project_id deployment_id group_by")
    | {"start": "{start:local}", "end": "{end:local}"}
    | TIMES,
    of_project=PROJECT,
    deployment=OWN_DEPLOYMENT,
)
# Antenna joins the two with exactly one slash.
PATH = (
    "CASE WHEN {public_base_url} <> '' "
    "THEN rtrim({public_base_url}, '/') || '/' || ltrim({path}, '/') ELSE {path} END"
)
CAPTURES = Table(
    SourceImage,
    _same("project_id deployment_id event_id width height")
    | {"path": PATH, "timestamp": "{timestamp:local}"}
    | TIMES,
    of_project=PROJECT,
    deployment=OWN_DEPLOYMENT,
)
OCCURRENCES = Table(
    Occurrence,
    _same("determination_id event_id deployment_id project_id")
    | {"determination_score": _score("determination_score")}
    | TIMES,
    of_project=PROJECT,
)
DETECTIONS = Table(
    Detection,
    _same("source_image_id occurrence_id detection_algorithm_id")
    | {
        "bbox": "{bbox:floats}",
        "timestamp": "{timestamp:local}",
        "path": "COALESCE({path}, '')",
        "detection_score": _score("detection_score"),
        "similarity_vector": "{similarity_vector:floats}",
    }
    | TIMES,
    of_project="EXISTS (SELECT FROM main_sourceimage c "
    "WHERE c.id = {row}.source_image_id AND c.project_id = {project})",
    joins="LEFT JOIN main_sourceimage capture ON capture.id = s.source_image_id",
    deployment="capture.deployment_id",
)
CLASSIFICATIONS = Table(
    Classification,
    _same("detection_id taxon_id scores logits terminal algorithm_id category_map_id applied_to_id")
    | {
        "score": _score("score"),
        "timestamp": "{timestamp:server}",
        "metadata": "'{}'",
    }
    | TIMES,
    where="{row}.detection_id IS NOT NULL",
    of_project="EXISTS (SELECT FROM main_detection d JOIN main_sourceimage c ON c.id = "
    "d.source_image_id WHERE d.id = {row}.detection_id AND c.project_id = {project})",
    cleared=frozenset({"applied_to_id"}),
)
IDENTIFICATIONS = Table(
    Identification,
    _same(
        "user_id taxon_id occurrence_id withdrawn agreed_with_prediction_id "
        "agreed_with_identification_id"
    )
    | {"comment": "COALESCE({comment}, '')"}
    | TIMES,
    of_project="EXISTS (SELECT FROM main_occurrence o "
    "WHERE o.id = {row}.occurrence_id AND o.project_id = {project})",
)
# Antenna has more methods than ours: sets of these become sets that were chosen by hand.
KEPT_METHODS = f"{{method}} IN ('{SourceImageCollection.Method.FULL}', 'random')"
CAPTURE_SETS = Table(
    SourceImageCollection,
    _same("project_id name")
    | {
        "method": f"CASE WHEN {KEPT_METHODS} THEN {{method}} ELSE 'manual' END",
        "kwargs": f"CASE WHEN {KEPT_METHODS} THEN COALESCE(NULLIF({{kwargs}}, 'null'), '{{}}') "
        "ELSE jsonb_build_object('image_ids', {id:images}) END",
    }
    | TIMES,
    of_project=PROJECT,
)


def _links(relation: Any, owner: str) -> Table:
    """The rows behind a many-to-many field."""
    keys = [one.column for one in relation.through._meta.concrete_fields if not one.primary_key]
    return Table(relation.through, _same(" ".join(keys)), owner=owner)


# In the order of copying: a table comes after those that it refers to.
TABLES = (
    PROJECTS,
    MEMBERSHIPS,
    CATEGORY_MAPS,
    ALGORITHMS,
    TAXA,
    _links(Taxon.projects, "project_id"),
    TAXA_LISTS,
    _links(TaxaList.taxa, "taxalist_id"),
    _links(TaxaList.projects, "project_id"),
    DEPLOYMENTS,
    EVENTS,
    CAPTURES,
    OCCURRENCES,
    DETECTIONS,
    CLASSIFICATIONS,
    IDENTIFICATIONS,
    CAPTURE_SETS,
    _links(SourceImageCollection.images, "sourceimagecollection_id"),
)
BY_NAME = {table.name: table for table in (USERS, *TABLES)}

"""Rows for tests: each function creates one row, and the rows to which it refers."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

from ami.main.access import Role
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    Taxon,
    TaxonRank,
)
from ami.ml.models import Algorithm, AlgorithmTaskType
from ami.users.models import User

_numbers = count(1)
NIGHT = datetime(2022, 6, 20, 23, 0, tzinfo=UTC)


def make_user(**fields: Any) -> User:
    return User.objects.create_user(
        **{"email": f"person-{next(_numbers)}@example.org", "password": "secret"} | fields
    )


def make_member(project: Project, role: Role = Role.VIEWER, **fields: Any) -> User:
    """Create a person with staff status and a role in the project."""
    user = make_user(**{"is_staff": True} | fields)
    project.members.add(user, through_defaults={"role": role})
    return user


def make_project(**fields: Any) -> Project:
    return Project.objects.create(**{"name": f"Project {next(_numbers)}"} | fields)


def make_deployment(**fields: Any) -> Deployment:
    fields.setdefault("project", None)
    fields["project"] = fields["project"] or make_project()
    return Deployment.objects.create(**{"name": f"Trap {next(_numbers)}"} | fields)


def make_capture(**fields: Any) -> SourceImage:
    deployment = fields.pop("deployment", None) or make_deployment()
    return SourceImage.objects.create(
        **{
            "deployment": deployment,
            "project": deployment.project,
            "path": f"capture-{next(_numbers)}.jpg",
            "timestamp": NIGHT,
            "width": 1000,
            "height": 1000,
        }
        | fields
    )


def make_capture_set(captures: list[SourceImage], **fields: Any) -> SourceImageCollection:
    capture_set = SourceImageCollection.objects.create(
        **{
            "project": captures[0].project,
            "name": f"Capture set {next(_numbers)}",
            "method": SourceImageCollection.Method.MANUAL,
            "kwargs": {"image_ids": [capture.pk for capture in captures]},
        }
        | fields
    )
    capture_set.populate_sample()
    return capture_set


def make_occurrence(**fields: Any) -> Occurrence:
    deployment = fields.pop("deployment", None) or make_deployment()
    row = Occurrence(**{"deployment": deployment, "project": deployment.project} | fields)
    # A new occurrence has no detections yet, so only a given determination can be wrong.
    row.save(update_determination="determination" in fields)
    return row


def make_detection(**fields: Any) -> Detection:
    """Create a detection whose box covers one hundredth of its capture."""
    capture = fields.pop("source_image", None) or make_capture()
    return Detection.objects.create(
        **{"source_image": capture, "bbox": [100, 100, 200, 200], "timestamp": NIGHT} | fields
    )


def make_taxon(**fields: Any) -> Taxon:
    return Taxon.objects.create(
        **{"name": f"Species {next(_numbers)}", "rank": TaxonRank.SPECIES} | fields
    )


def make_algorithm(**fields: Any) -> Algorithm:
    return Algorithm.objects.create(
        **{
            "name": f"Algorithm {next(_numbers)}",
            "task_type": AlgorithmTaskType.CLASSIFICATION,
        }
        | fields
    )


def make_classification(**fields: Any) -> Classification:
    fields.setdefault("taxon", None)
    return Classification.objects.create(
        **fields
        | {
            "detection": fields.get("detection") or make_detection(),
            "taxon": fields["taxon"] or make_taxon(),
            "score": fields.get("score", 0.9),
        }
    )

"""A project with one row of each model, for tests of who may see and do what."""

from typing import Any

from django.utils import timezone

from ami.base.audit import Kind, record
from ami.base.tests.factories import (
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_member,
    make_occurrence,
)
from ami.integrity.models import IntegrityAcknowledgement, IntegrityResult, IntegrityRun
from ami.jobs.models import Job, JobChange, JobLog, JobPart, JobState
from ami.main.access import Role
from ami.main.models import Deployment, Event, Identification, Occurrence, Project, TaxaList
from ami.users.models import User


def populate(project: Project | None) -> dict[str, Any]:
    """Create a row of each model that belongs to a project; return them by the model's label."""
    rows = [*_biology(project), *_records(project)]
    if project:
        taxa_list = TaxaList.objects.create(name=f"List of {project}")
        taxa_list.projects.add(project)
        rows += [project, taxa_list]
    return {row._meta.label_lower: row for row in rows}


def _biology(project: Project | None) -> list[Any]:
    deployment = Deployment.objects.create(project=project, name=f"Trap of {project}")
    night = Event.objects.create(deployment=deployment, project=project, group_by="2022-06-20")
    capture = make_capture(deployment=deployment, event=night, path=f"{project}.jpg")
    occurrence = make_occurrence(deployment=deployment, event=night)
    detection = make_detection(source_image=capture, occurrence=occurrence)
    return [
        deployment,
        night,
        capture,
        occurrence,
        detection,
        make_classification(detection=detection),
        Identification.objects.create(occurrence=occurrence, comment=f"Comment of {project}"),
        *([make_capture_set([capture], name=f"Set of {project}")] if project else []),
    ]


def _records(project: Project | None) -> list[Any]:
    job = Job.objects.create(
        name=f"Run of {project}",
        project=project,
        status=JobState.SUCCESS,
        started_at=timezone.now(),
        finished_at=timezone.now(),
        job_type_key="post_processing",
        params={
            "task": "small_size_filter",
            "config": {"occurrence_id": Occurrence.objects.latest("pk").pk},
        },
        dry_run=True,
    )
    run = IntegrityRun.objects.create(project=project, finished_at=timezone.now())
    change = JobChange(job=job, batch=1, kind=JobChange.Kind.CREATED, object_id=1)
    change.model, change.after = "main.identification", {"comment": f"Change of {project}"}
    change.save()
    known = IntegrityAcknowledgement(key="orphan_name", project=project, expires_on="2999-01-01")
    known.reason = f"Reason of {project}"
    known.save()
    return [
        job,
        JobPart.objects.create(job=job, number=1),
        JobLog.objects.create(job=job, message=f"Line of {project}"),
        change,
        run,
        IntegrityResult.objects.create(run=run, key="orphan_name", severity="error"),
        known,
        record([job], kind=Kind.START, message=f"Entry of {project}")[0].note,
    ]


def make_members(project: Project) -> dict[str, User]:
    """Create a person with each role in the project."""
    return {role.value: make_member(project, role) for role in Role}

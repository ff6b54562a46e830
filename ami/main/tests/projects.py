"""A project with one row of each model, for tests of who may see and do what."""

from typing import Any

from django.utils import timezone

from ami.base.audit import Kind, record
from ami.base.tests.factories import (
    make_algorithm,
    make_capture,
    make_capture_set,
    make_classification,
    make_detection,
    make_member,
    make_occurrence,
)
from ami.exchange.models import Export, Import
from ami.integrity.models import IntegrityAcknowledgement, IntegrityResult, IntegrityRun
from ami.jobs.models import Job, JobChange, JobLog, JobPart, JobState
from ami.main.access import Role
from ami.main.models import Deployment, Event, Identification, Occurrence, Project, TaxaList
from ami.ml.models import Calibration
from ami.review.models import Sample
from ami.users.models import User


def populate(project: Project | None) -> dict[str, Any]:
    """Create a row of each model that belongs to a project; return them by the model's label."""
    rows = [*_biology(project), *_records(project)]
    if project:
        taxa_list = TaxaList.objects.create(name=f"List of {project}")
        taxa_list.projects.add(project)
        rows += [project, taxa_list, _calibration(project), *_review(project)]
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


def _calibration(project: Project) -> Calibration:
    return Calibration.objects.create(
        algorithm=make_algorithm(),
        project=project,
        kind=Calibration.Kind.THRESHOLD,
        scope=f"Answers of {project}",
        **{"target": 0.95, "n_fit": 15, "n_report": 15},
    )


def _review(project: Project) -> list[Any]:
    occurrence = Occurrence.objects.latest("pk")
    sample = Sample.objects.create(
        name=f"Sample of {project}", project=project, source="project", seed=1, population=1
    )
    item = sample.items.create(position=1, occurrence=occurrence)
    return [sample, item, item.judgements.create(verdict="right", blind=True)]


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
    written = [
        Export.objects.create(
            project=project, job=job, form="csv", size=1, path=f"exports/{project.pk}/{project}.csv"
        )
        for project in ([project] if project else [])
    ]
    read = Import.objects.create(
        project=project, job=job, form="antenna_examples", name=f"{project}.json", uploaded=True
    )
    run = IntegrityRun.objects.create(project=project, finished_at=timezone.now())
    change = JobChange(job=job, batch=1, kind=JobChange.Kind.CREATED, object_id=1)
    change.model, change.after = "main.identification", {"comment": f"Change of {project}"}
    change.save()
    known = IntegrityAcknowledgement(key="orphan_name", project=project, expires_on="2999-01-01")
    known.reason = f"Reason of {project}"
    known.save()
    return [
        *written,
        read,
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

"""The seeded rows as those of one project, of whose occurrences one run has changed every fifth."""

from django.db import connection

from ami.jobs.models import Job
from ami.main.management.scale import Sizes
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
)
from benchmarks import databases

SUFFIX = "_one_project"
MODELS = (Deployment, Event, SourceImage, Detection, Classification, Occurrence, Identification)
CHANGES = """
INSERT INTO jobs_jobchange (job_id, batch, kind, model, object_id, before, after, created_at)
SELECT %s, 1, 'changed', 'main.occurrence', id,
       jsonb_build_object('determination_id', determination_id, 'determination_score', 0.5),
       jsonb_build_object('determination_id', 1 + id %% 100, 'determination_score', 0.75), now()
FROM main_occurrence WHERE id %% 5 = 0 AND determination_id <> 1 + id %% 100
"""


def one_project(label: str, sizes: Sizes) -> str:
    """The name of a database with rows of these sizes in one project, copied from `label`."""
    template = databases.seeded(label, sizes)
    return databases.seeded(f"{label}{SUFFIX}", sizes, fill=_merge, template=template)


def drop(name: str) -> None:
    """Drop the database, and the one from which it was copied."""
    databases.drop(name)
    databases.drop(name.removesuffix(SUFFIX))


def _merge(sizes: Sizes) -> None:
    """Give all rows to the first project; triggers would only repeat that."""
    project, job = Project.objects.earliest("pk").pk, Job.objects.earliest("pk")
    Job.objects.filter(pk=job.pk).update(project=project)
    with databases.bulk_writes(MODELS), connection.cursor() as cursor:
        for model in MODELS:
            cursor.execute(f"UPDATE {model._meta.db_table} SET project_id = %s", [project])  # noqa: S608
        cursor.execute(CHANGES, [job.pk])

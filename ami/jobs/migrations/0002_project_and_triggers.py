import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone

from ami.jobs.journal.triggers import install_triggers, remove_triggers

# Triggers instead of foreign key constraints, which are checked row by row; see docs/decisions/06.
#
# A batch of a Job may commit after Django has cleared the references to the Job and before it
# deletes the Job's row. The trigger sees what was committed until then.
CLEAR_DELETED = """
CREATE FUNCTION jobs_clear_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE main_classification SET job_id = NULL WHERE job_id IN (SELECT id FROM deleted);
    DELETE FROM jobs_jobchange WHERE job_id IN (SELECT id FROM deleted);
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_clear_deleted AFTER DELETE ON jobs_job
REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION jobs_clear_deleted();
"""

# Locks the Jobs until the end of the transaction, and clears references to Jobs that no longer
# exist, for example when a revert restores what an old Job wrote.
CLEAR_UNKNOWN = """
CREATE FUNCTION main_classification_known_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unknown bigint[];
BEGIN
    PERFORM FROM jobs_job
    WHERE id = ANY(ARRAY(SELECT DISTINCT job_id FROM written WHERE job_id IS NOT NULL))
    FOR KEY SHARE;
    unknown := ARRAY(
        SELECT id FROM written w
        WHERE job_id IS NOT NULL AND NOT EXISTS (SELECT FROM jobs_job j WHERE j.id = w.job_id));
    IF cardinality(unknown) > 0 THEN
        UPDATE main_classification SET job_id = NULL WHERE id = ANY(unknown);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER main_classification_known_job AFTER INSERT ON main_classification
REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION main_classification_known_job();
"""
REMOVE_BOTH = """
DROP TRIGGER jobs_clear_deleted ON jobs_job;
DROP FUNCTION jobs_clear_deleted();
DROP TRIGGER main_classification_known_job ON main_classification;
DROP FUNCTION main_classification_known_job();
"""

# Name, task, minutes between two runs, seconds until a message expires, description.
SCHEDULES = [
    (
        "jobs.health_check",
        "ami.jobs.tasks.jobs_health_check",
        15,
        14 * 60,
        "Sends lost messages again, and requeues the work of silent workers.",
    ),
    (
        "jobs.tick",
        "ami.jobs.tasks.tick",
        1,
        60,
        "Records for /healthz that beat, the broker, a worker and the database work.",
    ),
]


def schedule(apps, schema_editor):
    """Add the schedules, except those whose name an operator already uses."""
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule").objects
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for name, task, every, expires, description in SCHEDULES:
        interval = intervals.filter(every=every, period="minutes").first()
        tasks.get_or_create(
            name=name,
            defaults={
                "task": task,
                "interval": interval or intervals.create(every=every, period="minutes"),
                "expire_seconds": expires,
                "description": description,
            },
        )
    _tell_beat(apps)


def unschedule(apps, schema_editor):
    """Remove only these schedules, because other schedules may use the intervals."""
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    for name, task, *_ in SCHEDULES:
        tasks.filter(name=name, task=task).delete()
    _tell_beat(apps)


def _tell_beat(apps):
    """A running beat reads its schedule again when this row changes."""
    changes = apps.get_model("django_celery_beat", "PeriodicTasks").objects
    changes.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    """What the first migration of `main` must precede: the project, triggers and schedules."""

    dependencies = [
        ("jobs", "0001_initial"),
        ("main", "0001_initial"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="project",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="jobs",
                to="main.project",
            ),
        ),
        migrations.RunPython(install_triggers, remove_triggers),
        migrations.RunSQL(CLEAR_DELETED + CLEAR_UNKNOWN, REMOVE_BOTH),
        migrations.RunPython(schedule, unschedule),
    ]

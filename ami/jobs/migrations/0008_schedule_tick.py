from django.db import migrations
from django.utils import timezone

NAME = "jobs.tick"
TASK = "ami.jobs.tasks.tick"


def schedule(apps, schema_editor):
    """Add the schedule, unless an operator has one of that name."""
    Interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    interval = Interval.objects.filter(every=1, period="minutes").first()
    interval = interval or Interval.objects.create(every=1, period="minutes")
    apps.get_model("django_celery_beat", "PeriodicTask").objects.get_or_create(
        name=NAME,
        defaults={
            "task": TASK,
            "interval": interval,
            "expire_seconds": 60,
            "description": "Tells /healthz that beat, broker, a worker and the database work.",
        },
    )
    _tell_beat(apps)


def unschedule(apps, schema_editor):
    """Remove that schedule alone; others may have the interval in use."""
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects
    tasks.filter(name=NAME, task=TASK).delete()
    _tell_beat(apps)


def _tell_beat(apps):
    """A beat that runs reads its schedule anew when this changes."""
    changes = apps.get_model("django_celery_beat", "PeriodicTasks").objects
    changes.update_or_create(ident=1, defaults={"last_update": timezone.now()})


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0007_pulse"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [migrations.RunPython(schedule, unschedule)]

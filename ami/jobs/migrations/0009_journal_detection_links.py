from django.db import migrations

from ami.jobs.journal.triggers import install_triggers


class Migration(migrations.Migration):
    """Journal the links between detections, too."""

    dependencies = [
        ("jobs", "0008_schedule_tick"),
        ("main", "0007_detection_links"),
    ]

    operations = [migrations.RunPython(install_triggers, migrations.RunPython.noop)]

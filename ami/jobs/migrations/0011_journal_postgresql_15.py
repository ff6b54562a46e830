from django.db import migrations

from ami.jobs.journal.triggers import install_triggers


class Migration(migrations.Migration):
    """Journal on PostgreSQL 15 and 16, too, which cannot tell where a vector is stored."""

    dependencies = [("jobs", "0010_job_attempts")]

    operations = [migrations.RunPython(install_triggers, migrations.RunPython.noop)]

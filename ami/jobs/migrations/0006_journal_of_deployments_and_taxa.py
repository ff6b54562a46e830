from django.db import migrations

from ami.jobs.journal.triggers import install_triggers


class Migration(migrations.Migration):
    """Record the changes of deployments, taxa and taxa lists, too."""

    dependencies = [
        ('jobs', '0005_journal_of_captures_and_nights'),
        ('main', '0010_import_kind'),
    ]

    operations = [migrations.RunPython(install_triggers, migrations.RunPython.noop)]

from django.db import migrations

from ami.jobs.journal.triggers import install_triggers


class Migration(migrations.Migration):
    """Record the changes of captures and nights, too."""

    dependencies = [
        ('jobs', '0004_journal_of_answers'),
        ('main', '0009_counts_by_default'),
    ]

    operations = [migrations.RunPython(install_triggers, migrations.RunPython.noop)]

from django.db import migrations

from ami.jobs.journal.triggers import install_triggers


class Migration(migrations.Migration):
    """Record the columns that identifications gained."""

    dependencies = [
        ('jobs', '0003_taxa_of_changes'),
        ('main', '0004_independent_answers'),
    ]

    operations = [migrations.RunPython(install_triggers, migrations.RunPython.noop)]

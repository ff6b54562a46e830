from functools import partial

from django.db import migrations

from ami.main.project_column import PARENTS, install_triggers


class Migration(migrations.Migration):

    dependencies = [
        ('main', '0010_import_kind'),
    ]

    operations = [
        migrations.RunPython(
            partial(install_triggers, tables=PARENTS), migrations.RunPython.noop
        ),
    ]

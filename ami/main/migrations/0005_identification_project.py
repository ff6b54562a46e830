from functools import partial

import django.db.models.deletion
from django.db import migrations, models

import ami.main.project_column
from ami.main import project_column

TABLES = ("main_identification",)
FILL = """
UPDATE main_identification i SET project_id = o.project_id
FROM main_occurrence o WHERE o.id = i.occurrence_id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('main', '0004_independent_answers'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='occurrence',
            name='occurrence_project_id',
        ),
        migrations.AddConstraint(
            model_name='occurrence',
            constraint=models.UniqueConstraint(fields=('project', 'id'), name='occurrence_project_id'),
        ),
        migrations.AddField(
            model_name='identification',
            name='project',
            field=ami.main.project_column.ProjectColumn(db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='main.project'),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='identification',
            index=models.Index(fields=['project', 'id'], name='identification_project_id'),
        ),
        migrations.RunPython(
            partial(project_column.install_triggers, tables=TABLES),
            partial(project_column.remove_triggers, tables=TABLES),
        ),
    ]

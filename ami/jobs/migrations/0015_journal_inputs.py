import django.db.models.deletion
from django.db import migrations, models

from ami.jobs.journal.triggers import install_triggers


class Migration(migrations.Migration):
    """Journal what determinations rest on; a Job whose revert was reverted may be reverted anew."""

    dependencies = [
        ("jobs", "0014_job_dispatch_mode"),
    ]

    operations = [
        migrations.AddField(
            model_name="jobchange",
            name="inputs",
            field=models.BigIntegerField(
                editable=False,
                help_text="What the determination rested on when it was decided, or its row was moved.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="reverts",
            field=models.ForeignKey(
                editable=False,
                help_text="The Job whose changes this one undoes.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="reverted_by",
                to="jobs.job",
            ),
        ),
        migrations.RunPython(install_triggers, migrations.RunPython.noop),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    """Tell why a Job waits apart from why it failed."""

    dependencies = [("jobs", "0002_project_and_triggers")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="unsent",
            field=models.TextField(
                blank=True,
                default="",
                editable=False,
                help_text="Why the broker has not taken the Job's message; empty if it has.",
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="job",
            name="error",
            field=models.TextField(
                blank=True, help_text="Why the Job failed or had nothing to do."
            ),
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    """Let workers claim parts only; the first part plans its Job, or does work of one call."""

    dependencies = [("jobs", "0003_waiting")]

    operations = [
        migrations.RemoveField("job", "attempts"),
        migrations.RemoveField("job", "claim_token"),
        migrations.RemoveField("job", "heartbeat_at"),
        migrations.AddField(
            model_name="jobpart",
            name="is_planned",
            field=models.BooleanField(
                default=True,
                help_text="Whether its batches are known; never if its work is one call.",
            ),
        ),
        migrations.AddField(
            model_name="jobpart",
            name="opens",
            field=models.BooleanField(
                default=False,
                help_text="Whether its message starts or resumes the Job, so that the worker that "
                "claims it also admits and plans the Job and sends the messages of the other parts.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="task_id",
            field=models.CharField(
                blank=True, help_text="The id of the message that starts the Job.", max_length=255
            ),
        ),
    ]

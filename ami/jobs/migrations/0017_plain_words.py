import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0016_basis"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="pulse",
            options={"verbose_name": "heartbeat"},
        ),
        migrations.AlterField(
            model_name="job",
            name="admitted_at",
            field=models.DateTimeField(
                editable=False,
                help_text="The time since when no other Job may write the occurrences of this Job.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="applies",
            field=models.ForeignKey(
                editable=False,
                help_text="The dry run, or the reverted run, that this Job applies.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="applied_by",
                to="jobs.job",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                default=0,
                editable=False,
                help_text="The number of claims since the Job was queued.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="basis",
            field=models.ForeignKey(
                editable=False,
                help_text="The values that the Job was planned with besides the rows of its scope.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="jobs",
                to="jobs.basis",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="basis_changes",
            field=models.JSONField(
                default=list,
                editable=False,
                help_text="How these values had changed by the end of the Job, as sentences.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="claim_token",
            field=models.UUIDField(
                editable=False, help_text="The token of the worker that holds the Job.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="dry_run",
            field=models.BooleanField(
                default=False,
                help_text="Roll back every batch; keep only the counters and the journal.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="error",
            field=models.TextField(
                blank=True, help_text="Why the Job failed, still waits, or had nothing to do."
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="launch_key",
            field=models.CharField(
                editable=False,
                help_text="Identifies the submitted form, so that submitting it twice makes one Job.",
                max_length=64,
                null=True,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="pruned_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When the parts and the journal of the Job were deleted because it was old.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="waits_for",
            field=models.ForeignKey(
                editable=False,
                help_text="The Job that must end first because both may write the same occurrences.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="waiting",
                to="jobs.job",
            ),
        ),
        migrations.AlterField(
            model_name="jobchange",
            name="batch",
            field=models.BigIntegerField(help_text="The transaction that made the change."),
        ),
        migrations.AlterField(
            model_name="jobchange",
            name="inputs",
            field=models.BigIntegerField(
                editable=False,
                help_text="A hash of the rows that the determination was based on at the time.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="jobchange",
            name="model",
            field=models.CharField(
                help_text="The label of the model, such as main.classification.", max_length=64
            ),
        ),
        migrations.AlterField(
            model_name="jobpart",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="The number of claims since the last committed batch."
            ),
        ),
        migrations.AlterField(
            model_name="jobpart",
            name="skipped",
            field=models.JSONField(
                default=dict, help_text="For each reason, the number of rows and the first ids."
            ),
        ),
        migrations.AlterField(
            model_name="pulse",
            name="at",
            field=models.DateTimeField(verbose_name="last heartbeat"),
        ),
        migrations.AlterField(
            model_name="pulse",
            name="name",
            field=models.CharField(
                choices=[("tick", "Celery beat"), ("health_check", "Job health check")],
                max_length=32,
                primary_key=True,
                serialize=False,
            ),
        ),
    ]

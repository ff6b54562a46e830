import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Keep what runs consult, and tell a run that had nothing to do."""

    dependencies = [("jobs", "0015_journal_inputs")]

    operations = [
        migrations.CreateModel(
            name="Basis",
            fields=[
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of the value.",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("value", models.JSONField()),
                (
                    "used_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now,
                        help_text="When a Job was last planned with it.",
                    ),
                ),
            ],
            options={"verbose_name_plural": "bases"},
        ),
        migrations.AddField(
            model_name="job",
            name="basis",
            field=models.ForeignKey(
                editable=False,
                help_text="What it was planned with besides the rows of its scope.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="jobs",
                to="jobs.basis",
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="basis_changes",
            field=models.JSONField(
                default=list,
                editable=False,
                help_text="How that had changed at its end, a sentence each.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="error",
            field=models.TextField(
                blank=True, help_text="Why it failed, still waits, or had nothing to do."
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("succeeded", "Succeeded"),
                    ("nothing", "Nothing to do"),
                    ("problems", "Succeeded with problems"),
                    ("failed", "Failed"),
                    ("crashed", "Crashed"),
                    ("canceled", "Canceled"),
                ],
                editable=False,
                max_length=16,
            ),
        ),
    ]

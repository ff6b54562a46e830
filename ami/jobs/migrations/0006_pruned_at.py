from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0005_schedule_health_check")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="pruned_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When its parts and its journal were deleted, as it had ended long before.",
                null=True,
            ),
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0009_journal_detection_links")]

    operations = [
        migrations.AddField(
            model_name="job",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                default=0, editable=False, help_text="Claims since it was queued."
            ),
        ),
    ]

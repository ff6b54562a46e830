from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ml", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="algorithm",
            name="key",
            field=models.SlugField(
                blank=True,
                help_text="If empty, it is generated from the name and the version.",
                max_length=255,
                unique=True,
            ),
        ),
    ]

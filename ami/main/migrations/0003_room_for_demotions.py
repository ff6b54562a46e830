from django.db import migrations


class Migration(migrations.Migration):
    """Leaves room in each page of classifications.

    Methods demote what they supersede. With room beside it, a demoted row stays on its page and
    none of the table's indexes is written.
    """

    dependencies = [("main", "0002_classification_job")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE main_classification SET (fillfactor = 85)",
            "ALTER TABLE main_classification RESET (fillfactor)",
        )
    ]

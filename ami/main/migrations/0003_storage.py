from django.db import migrations


class Migration(migrations.Migration):
    """How PostgreSQL lays out what methods rewrite and read most.

    Methods demote the classifications that they supersede: with room beside it, a demoted row
    stays on its page, and none of the table's indexes is written. A box is stored so that its
    numbers are read in place, not from a copy for each of them.
    """

    dependencies = [("main", "0002_classification_job")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE main_classification SET (fillfactor = 85)",
            "ALTER TABLE main_classification RESET (fillfactor)",
        ),
        migrations.RunSQL(
            "ALTER TABLE main_detection ALTER COLUMN bbox SET STORAGE PLAIN",
            "ALTER TABLE main_detection ALTER COLUMN bbox SET STORAGE EXTENDED",
        ),
    ]

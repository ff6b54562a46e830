from django.db import migrations

VECTORS = [
    ("main_classification", "scores"),
    ("main_classification", "logits"),
    ("main_detection", "similarity_vector"),
]


class Migration(migrations.Migration):
    """Vectors are stored as they are: their numbers hardly compress, and trying takes most of the
    time of writing them. Rows that are there already stay as they were until they are written."""

    dependencies = [("main", "0005_integrity_history")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL",
            f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTENDED",
        )
        for table, column in VECTORS
    ]

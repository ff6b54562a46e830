from django.db import migrations

# A revert inserts deleted nights without their counts, which follow from other rows.
COUNTS = {
    'main_sourceimage': ('detections_count',),
    'main_event': ('captures_count', 'detections_count', 'occurrences_count'),
    'main_deployment': (
        'events_count', 'captures_count', 'detections_count', 'occurrences_count',
    ),
}
SET = 'ALTER TABLE {} ALTER COLUMN {} SET DEFAULT 0'


class Migration(migrations.Migration):

    dependencies = [
        ('main', '0008_night_starts'),
    ]

    operations = [
        migrations.RunSQL(
            [SET.format(table, column) for table, columns in COUNTS.items() for column in columns],
            migrations.RunSQL.noop,
        )
    ]
